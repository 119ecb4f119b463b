//! Compares the clocks of all sites: which of them a majority agrees with, and how far the others
//! are off.
//!
//! It never reads a clock: the caller brings what was measured.

use evenkeel_wire::id::NodeId;

use crate::limits::CLOCK_TOLERANCE;

/// A site's clock, as this node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClock {
    pub node: NodeId,
    /// Its time less this node's, microseconds; 0 for this node's own.
    pub offset: i64,
    /// How wrong the offset may be, microseconds: half of the round trip that measured it.
    pub uncertainty: u64,
}

/// What the comparison says about one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// It isn't known, or nothing can be said.
    Unknown,
    Agrees,
    /// Its time less the time that it's compared with, microseconds.
    Differs(i64),
}

/// The known clocks of a cluster, compared.
#[derive(Clone, Debug)]
pub struct ClockComparison {
    own: NodeId,
    known: Vec<KnownClock>,
    majority: Option<KnownClock>,
}

/// A time less another one, both in microseconds.
#[must_use]
pub fn difference(time: u64, other: u64) -> i64 {
    let difference = i128::from(time) - i128::from(other);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// Formats a difference for people, in front of what it's compared with: `7200.0 s behind`,
/// `3.5 s ahead of`.
#[must_use]
pub fn format_difference(by: i64) -> String {
    let tenths = by.unsigned_abs() / 100_000;
    let direction = if by < 0 { "behind" } else { "ahead of" };
    format!("{}.{} s {direction}", tenths / 10, tenths % 10)
}

fn tolerance() -> u64 {
    u64::try_from(CLOCK_TOLERANCE.as_micros()).expect("some seconds")
}

impl ClockComparison {
    /// Compares a node's own clock and those of others, in a cluster of this many members.
    #[must_use]
    pub fn new(own: NodeId, others: impl Iterator<Item = KnownClock>, members: usize) -> Self {
        let own_clock = KnownClock { node: own, offset: 0, uncertainty: 0 };
        let mut known: Vec<KnownClock> = std::iter::once(own_clock).chain(others).collect();
        known.sort_by_key(|clock| clock.offset);
        let agree = |one: &KnownClock, other: &KnownClock| {
            other.offset.saturating_sub(one.offset).unsigned_abs() <= tolerance()
        };
        let supported = |clock: &&KnownClock| {
            known.iter().filter(|other| agree(clock, other)).count() > members / 2
        };
        let agreeing: Vec<&KnownClock> = known.iter().filter(supported).collect();
        let majority = (!agreeing.is_empty()).then(|| *agreeing[(agreeing.len() - 1) / 2]);
        Self { own, known, majority }
    }

    /// The clock in the middle of those that a majority agrees with within 2 s; `None`: there's
    /// no such majority, or it isn't known.
    #[must_use]
    pub fn majority(&self) -> Option<KnownClock> {
        self.majority
    }

    /// Compares a site's clock with the majority's; without a majority, another site's clock with
    /// this node's own. It differs only if the uncertainty can't explain it.
    #[must_use]
    pub fn judge(&self, node: NodeId) -> ClockVerdict {
        let reference = match self.majority {
            Some(majority) => majority,
            None if node == self.own => return ClockVerdict::Unknown,
            None => KnownClock { node: self.own, offset: 0, uncertainty: 0 },
        };
        let Some(clock) = self.known.iter().find(|clock| clock.node == node) else {
            return ClockVerdict::Unknown;
        };
        let by = clock.offset.saturating_sub(reference.offset);
        let explained = tolerance() + clock.uncertainty + reference.uncertainty;
        if by.unsigned_abs() <= explained {
            ClockVerdict::Agrees
        } else {
            ClockVerdict::Differs(by)
        }
    }

    /// What must be added to this node's clock so that it doesn't differ from the majority's,
    /// microseconds: 0 while it agrees. `None` without a majority.
    #[must_use]
    pub fn correction(&self) -> Option<i64> {
        let majority = self.majority?;
        let differs = matches!(self.judge(self.own), ClockVerdict::Differs(_));
        Some(if differs { majority.offset } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn compare(others: &[(NodeId, i64, u64)], members: usize) -> ClockComparison {
        let others = others.iter().map(|(node, offset, uncertainty)| KnownClock {
            node: *node,
            offset: *offset,
            uncertainty: *uncertainty,
        });
        ClockComparison::new(1, others, members)
    }

    #[test]
    fn a_majority_within_two_seconds_says_what_time_it_is() {
        // The other clocks in seconds, the members, the correction of the own clock in seconds.
        let table: &[(&[i64], usize, Option<i64>)] = &[
            (&[], 1, Some(0)),
            (&[], 2, None),
            (&[2], 2, Some(0)),
            (&[3], 2, None),
            (&[0, 0], 3, Some(0)),
            (&[1, -1], 3, Some(0)),
            (&[0, 7_200], 3, Some(0)),
            (&[7_200, 7_201], 3, Some(7_200)),
            (&[-7_200, -7_201], 3, Some(-7_201)),
            (&[7_200, -7_200], 3, None),
            (&[7_200], 3, None),
            (&[1], 3, Some(0)),
            (&[], 3, None),
            (&[0, 9, 9, 9], 5, Some(9)),
            (&[0, 0, 9, 9], 5, Some(0)),
            (&[0, 5, 9, 9], 5, None),
        ];
        for (others, members, correction) in table {
            let others: Vec<_> =
                (2..).zip(*others).map(|(node, offset)| (node, offset * SECOND, 0)).collect();
            let expected = correction.map(|seconds| seconds * SECOND);
            assert_eq!(compare(&others, *members).correction(), expected, "{others:?}");
        }
    }

    #[test]
    fn a_clock_differs_from_a_majority_or_without_one_from_the_own_clock() {
        use ClockVerdict::{Agrees, Differs, Unknown};
        type OtherClocks = &'static [(NodeId, i64, u64)];
        let table: &[(OtherClocks, [ClockVerdict; 3])] = &[
            (&[(2, 0, 0), (3, 0, 0)], [Agrees, Agrees, Agrees]),
            (&[(2, 0, 0), (3, 9 * SECOND, 0)], [Agrees, Agrees, Differs(9 * SECOND)]),
            (&[(2, 9 * SECOND, 0), (3, 9 * SECOND, 0)], [Differs(-9 * SECOND), Agrees, Agrees]),
            // A round trip of one second explains half a second.
            (&[(2, 0, 0), (3, 2_400_000, 500_000)], [Agrees, Agrees, Agrees]),
            (&[(2, 0, 0), (3, 2_400_000, 300_000)], [Agrees, Agrees, Differs(2_400_000)]),
            (
                &[(2, 9 * SECOND, 0), (3, -9 * SECOND, 0)],
                [Unknown, Differs(9 * SECOND), Differs(-9 * SECOND)],
            ),
            (&[(3, 9 * SECOND, 0)], [Unknown, Unknown, Differs(9 * SECOND)]),
            (&[(2, 0, 0)], [Agrees, Agrees, Unknown]),
            (
                &[(2, i64::MAX, 0), (3, i64::MIN, 0)],
                [Unknown, Differs(i64::MAX), Differs(i64::MIN)],
            ),
        ];
        for (others, expected) in table {
            let comparison = compare(others, 3);
            assert_eq!([1, 2, 3].map(|node| comparison.judge(node)), *expected, "{others:?}");
        }
    }

    #[test]
    fn differences_of_wild_clocks_are_cut_off_and_never_wrap() {
        assert_eq!(difference(5, 7), -2);
        assert_eq!(difference(u64::MAX, 0), i64::MAX);
        assert_eq!(difference(0, u64::MAX), i64::MIN);
        assert_eq!(format_difference(-7_200 * SECOND), "7200.0 s behind");
        assert_eq!(format_difference(2_490_000), "2.4 s ahead of");
    }
}
