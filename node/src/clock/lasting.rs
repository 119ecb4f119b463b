//! A difference that counts once it has lasted, and goes on counting until it has been gone for a
//! while: so a clock at the edge of the tolerance raises one alarm and not hundreds.

use std::time::Duration;

use tokio::time::Instant;

use super::comparison::ClockVerdict;
use crate::limits::{CLOCK_AGREES_AFTER, CLOCK_DIFFERS_AFTER};

/// One clock's difference over time. The caller brings the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastingDifference {
    counted: Option<i64>,
    /// Since when the verdicts have been the opposite of what counts.
    opposed_since: Option<Instant>,
}

impl LastingDifference {
    /// The difference that counts, in microseconds.
    #[must_use]
    pub fn counted(&self) -> Option<i64> {
        self.counted
    }

    /// Adds a verdict. One that says nothing leaves what counts as it is, and begins the wait anew.
    pub fn update(&mut self, verdict: ClockVerdict, now: Instant) {
        match (self.counted, verdict) {
            (_, ClockVerdict::Unknown) | (None, ClockVerdict::Agrees) => self.opposed_since = None,
            (Some(_), ClockVerdict::Differs(by)) => {
                self.counted = Some(by);
                self.opposed_since = None;
            }
            (None, ClockVerdict::Differs(by)) => {
                if self.opposed_for(now) >= CLOCK_DIFFERS_AFTER {
                    *self = Self { counted: Some(by), opposed_since: None };
                }
            }
            (Some(_), ClockVerdict::Agrees) => {
                if self.opposed_for(now) >= CLOCK_AGREES_AFTER {
                    *self = Self::default();
                }
            }
        }
    }

    fn opposed_for(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.opposed_since.get_or_insert(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_difference_that_lasts_counts_and_only_lasting_agreement_ends_it() {
        use ClockVerdict::{Agrees, Differs, Unknown};
        let start = Instant::now();
        let mut difference = LastingDifference::default();
        // Seconds, the verdict, what counts after it.
        let table = [
            (0, Differs(9), None),
            (4, Differs(9), None),
            // It agreed for a moment: a jittery clock.
            (5, Agrees, None),
            (6, Differs(9), None),
            (9, Unknown, None),
            (10, Differs(9), None),
            (14, Differs(9), None),
            (15, Differs(8), Some(8)),
            (16, Differs(-7), Some(-7)),
            (17, Agrees, Some(-7)),
            (26, Agrees, Some(-7)),
            (27, Unknown, Some(-7)),
            (28, Agrees, Some(-7)),
            (37, Agrees, Some(-7)),
            (38, Agrees, None),
            (39, Agrees, None),
        ];
        for (second, verdict, counted) in table {
            difference.update(verdict, start + Duration::from_secs(second));
            assert_eq!(difference.counted(), counted, "after {second} s");
        }
    }
}
