//! The seconds in which a segment's ids were made, as a bounded number of ranges.
//!
//! Ids are added in order and mostly from neighbouring seconds, so one or two ranges are usually
//! exact. If clients send old ids, the smallest gaps are closed until as many ranges are left as a
//! header takes: a second without ids may then be included, but a second with ids is never left
//! out.

/// The most ranges of the seconds of commands' own ids in a header.
pub(crate) const RANGES_MAX: usize = 184;
/// The most ranges of the seconds of alias ids in a header.
pub(crate) const ALIAS_RANGES_MAX: usize = 64;
/// Gaps are closed only when this many ranges exist, since it costs a pass over them.
const RANGES_OPEN_MAX: usize = 16 * RANGES_MAX;

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecondRange {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Ranges of seconds in ascending order, which don't overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seconds {
    ranges: Vec<SecondRange>,
}

impl Seconds {
    /// Adds a second that isn't earlier than any added before.
    pub(crate) fn push(&mut self, second: u64) {
        match self.ranges.last_mut() {
            Some(range) if second <= range.last + 1 => range.last = second.max(range.last),
            _ => self.ranges.push(SecondRange { first: second, last: second }),
        }
        if self.ranges.len() > RANGES_OPEN_MAX {
            self.close_gaps(RANGES_MAX);
        }
    }

    /// Every second.
    pub(crate) fn all() -> Self {
        Self { ranges: vec![SecondRange { first: 0, last: u64::MAX }] }
    }

    /// Closes gaps until at most `ranges_max` ranges are left.
    pub(crate) fn with_gaps_closed(mut self, ranges_max: usize) -> Self {
        self.close_gaps(ranges_max);
        self
    }

    /// `None` unless the ranges are in order and don't overlap.
    pub(crate) fn from_ranges(ranges: Vec<SecondRange>) -> Option<Self> {
        let ordered = ranges.iter().all(|range| range.first <= range.last)
            && ranges.windows(2).all(|pair| pair[0].last < pair[1].first);
        ordered.then_some(Self { ranges })
    }

    pub(crate) fn ranges(&self) -> &[SecondRange] {
        &self.ranges
    }

    pub(crate) fn contains(&self, second: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.first <= second);
        after > 0 && second <= self.ranges[after - 1].last
    }

    fn close_gaps(&mut self, ranges_max: usize) {
        if self.ranges.len() <= ranges_max {
            return;
        }
        // (gap, index), so that equal gaps have an order and every build closes the same ones.
        let mut gaps: Vec<(u64, usize)> = self
            .ranges
            .windows(2)
            .enumerate()
            .map(|(place, pair)| (pair[1].first - pair[0].last, place))
            .collect();
        let keep = ranges_max - 1;
        let split = gaps.len() - keep;
        gaps.select_nth_unstable(split);
        let mut kept: Vec<usize> = gaps[split..].iter().map(|(_, place)| *place).collect();
        kept.sort_unstable();

        let mut closed = Vec::with_capacity(ranges_max);
        let mut from = 0;
        for place in kept.into_iter().chain([self.ranges.len() - 1]) {
            closed.push(SecondRange {
                first: self.ranges[from].first,
                last: self.ranges[place].last,
            });
            from = place + 1;
        }
        self.ranges = closed;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbouring_seconds_are_one_range() {
        let mut seconds = Seconds::default();
        for second in [5, 5, 6, 7, 9, 9, 20] {
            seconds.push(second);
        }
        let expected = [(5, 7), (9, 9), (20, 20)];
        let ranges: Vec<_> = seconds
            .with_gaps_closed(RANGES_MAX)
            .ranges()
            .iter()
            .map(|r| (r.first, r.last))
            .collect();
        assert_eq!(ranges, expected);
    }

    #[test]
    fn many_scattered_seconds_keep_the_widest_gaps_open() {
        let mut seconds = Seconds::default();
        for step in 0..10_000 {
            let far = if step >= 5_000 { 1_000_000_000 } else { 0 };
            seconds.push(step * 3 + far);
        }
        let seconds = seconds.with_gaps_closed(RANGES_MAX);
        assert_eq!(seconds.ranges().len(), RANGES_MAX);
        assert!((0..10_000).all(|step| {
            let far = if step >= 5_000 { 1_000_000_000 } else { 0 };
            seconds.contains(step * 3 + far)
        }));
        assert!(!seconds.contains(500_000_000));
    }

    proptest! {
        #[test]
        fn no_second_is_forgotten(mut all in prop::collection::vec(0_u64..5_000, 0..600)) {
            all.sort_unstable();
            let mut seconds = Seconds::default();
            all.iter().for_each(|second| seconds.push(*second));
            let exact = all.windows(2).filter(|pair| pair[1] > pair[0] + 1).count() < RANGES_MAX;
            let seconds = Seconds::from_ranges(seconds.with_gaps_closed(RANGES_MAX).ranges).expect("in order");
            for second in 0..5_001 {
                let occurs = all.binary_search(&second).is_ok();
                let claimed = seconds.contains(second);
                prop_assert!(claimed || !occurs);
                prop_assert!(!exact || claimed == occurs);
            }
        }
    }
}
