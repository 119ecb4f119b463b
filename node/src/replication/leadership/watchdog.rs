//! Measures how long the journal's disk has been hanging. Replication doesn't notice: heartbeats
//! need no disk, and followers commit without the primary's, so it keeps its lease.
//!
//! It reads no clock and stops nothing: the caller brings the time and acts.

use std::time::Duration;

use tokio::time::Instant;

/// The oldest pending job of the journal's writer, and since when it's the oldest.
#[derive(Debug, Default)]
pub struct Watchdog {
    at: Option<(u64, Instant)>,
}

impl Watchdog {
    /// For how long the same job has been the oldest pending one; `pending` is its number.
    pub fn measure_hang(&mut self, pending: Option<u64>, now: Instant) -> Duration {
        let Some(number) = pending else {
            self.at = None;
            return Duration::ZERO;
        };
        match self.at {
            Some((known, since)) if known == number => now.saturating_duration_since(since),
            _ => {
                self.at = Some((number, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_queue_that_moves_is_no_hang() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.measure_hang(None, at(0)), Duration::ZERO);
        for (number, ms) in [(5, 100), (6, 1_900), (7, 3_700), (9, 5_500)] {
            assert_eq!(watchdog.measure_hang(Some(number), at(ms)), Duration::ZERO);
        }
        assert_eq!(watchdog.measure_hang(Some(9), at(7_500)), Duration::from_secs(2));
        assert_eq!(watchdog.measure_hang(Some(9), at(10_500)), Duration::from_secs(5));
        assert_eq!(watchdog.measure_hang(Some(10), at(10_600)), Duration::ZERO);
        assert_eq!(watchdog.measure_hang(None, at(10_700)), Duration::ZERO);
        assert_eq!(
            watchdog.measure_hang(Some(10), at(10_800)),
            Duration::ZERO,
            "the pause doesn't count"
        );
    }
}
