//! Selects the segments to search for an id: those that have ids of its second.
//!
//! A fresh id is later than all sealed ones, so no segment is searched. Ranges are sorted by their
//! start, each with the largest end up to it, so that a search stops where no earlier range can
//! reach.

use super::Position;
use super::format::seconds::SecondRange;

#[derive(Debug, Default)]
pub(crate) struct SegmentsBySecond {
    entries: Vec<RangeEntry>,
}

#[derive(Clone, Copy, Debug)]
struct RangeEntry {
    range: SecondRange,
    segment: Position,
    /// The largest end of this range and all before it.
    reach: u64,
}

impl SegmentsBySecond {
    /// Adds the ranges of a segment that isn't in the table.
    pub(crate) fn add(&mut self, segment: Position, ranges: &[SecondRange]) {
        let mut changed_from = self.entries.len();
        for range in ranges {
            let at = self.entries.partition_point(|entry| entry.range.first <= range.first);
            self.entries.insert(at, RangeEntry { range: *range, segment, reach: range.last });
            changed_from = changed_from.min(at);
        }
        self.renew_reach(changed_from);
    }

    pub(crate) fn remove(&mut self, segment: Position) {
        self.entries.retain(|entry| entry.segment != segment);
        self.renew_reach(0);
    }

    /// The segments that may have ids of this second, in no particular order, each once.
    pub(crate) fn segments_of_second(&self, second: u64) -> impl Iterator<Item = Position> {
        let end = self.entries.partition_point(|entry| entry.range.first <= second);
        self.entries[..end]
            .iter()
            .rev()
            .take_while(move |entry| entry.reach >= second)
            .filter(move |entry| entry.range.last >= second)
            .map(|entry| entry.segment)
    }

    fn renew_reach(&mut self, from: usize) {
        let mut reach = from.checked_sub(1).map_or(0, |before| self.entries[before].reach);
        for entry in &mut self.entries[from..] {
            reach = reach.max(entry.range.last);
            entry.reach = reach;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(of: &[(u64, u64)]) -> Vec<SecondRange> {
        of.iter().map(|(first, last)| SecondRange { first: *first, last: *last }).collect()
    }

    #[test]
    fn a_fresh_second_asks_no_segment() {
        let mut shelf = SegmentsBySecond::default();
        shelf.add(0, &ranges(&[(100, 110)]));
        shelf.add(50, &ranges(&[(3, 3), (110, 120)]));
        assert_eq!(shelf.segments_of_second(121).count(), 0);
        assert_eq!(shelf.segments_of_second(110).collect::<Vec<_>>(), [50, 0]);
        shelf.remove(50);
        assert_eq!(shelf.segments_of_second(115).count(), 0);
    }

    /// A segment, the start and width of its first range, a gap, the width of its second range.
    fn put() -> impl Strategy<Value = (u64, u64, u64, u64, u64)> {
        (0_u64..12, 0_u64..60, 0_u64..20, 1_u64..9, 0_u64..9)
    }

    proptest! {
        #[test]
        fn segments_are_those_of_a_walk_over_all(
            puts in prop::collection::vec(put(), 0..40),
        ) {
            let mut shelf = SegmentsBySecond::default();
            let mut model = std::collections::BTreeMap::new();
            for (segment, start, wide, gap, wide_too) in puts {
                let second = start + wide + gap;
                let both = ranges(&[(start, start + wide), (second, second + wide_too)]);
                if model.insert(segment, both.clone()).is_some() {
                    shelf.remove(segment);
                }
                shelf.add(segment, &both);
                for second in 0..110 {
                    let mut found: Vec<_> = shelf.segments_of_second(second).collect();
                    found.sort_unstable();
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(_, all)| {
                            all.iter().any(|r| (r.first..=r.last).contains(&second))
                        })
                        .map(|(segment, _)| *segment)
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
