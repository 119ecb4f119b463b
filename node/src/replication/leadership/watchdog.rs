//! Measures how long the journal's disk has been hanging. Replication doesn't notice: heartbeats
//! need no disk, and followers commit without the primary's, so it keeps its lease.
//!
//! It looks at progress: a slow disk that gets one write or sync done after the other never hangs.
//! It counts the time between its own checks, and of a long gap only a part: while the process or
//! its machine was stopped, the disk had no chance either.
//!
//! It reads no clock and stops nothing: the caller brings the time and acts.

use std::time::Duration;

use tokio::time::Instant;

/// The most time that one gap between two checks counts.
const GAP_MAX: Duration = Duration::from_millis(300);

/// What the journal's writer had got done at the last check, and for how long nothing was added.
#[derive(Debug, Default)]
pub struct Watchdog {
    at: Option<HangMeasure>,
}

#[derive(Debug)]
struct HangMeasure {
    progress: u64,
    checked: Instant,
    hangs_for: Duration,
}

impl Watchdog {
    /// For how long the disk has got nothing done; `pending` is what it had got done so far, `None`
    /// if nothing is to be done. To be called several times within `GAP_MAX`.
    pub fn measure_hang(&mut self, pending: Option<u64>, now: Instant) -> Duration {
        let Some(progress) = pending else {
            self.at = None;
            return Duration::ZERO;
        };
        let hangs_for = match &self.at {
            Some(last) if last.progress == progress => {
                last.hangs_for + now.saturating_duration_since(last.checked).min(GAP_MAX)
            }
            _ => Duration::ZERO,
        };
        self.at = Some(HangMeasure { progress, checked: now, hangs_for });
        hangs_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Duration = Duration::from_millis(100);

    /// Checks every 100 ms until `until`; returns the last measure.
    fn check_until(
        watchdog: &mut Watchdog,
        pending: Option<u64>,
        now: &mut Instant,
        until: Instant,
    ) -> Duration {
        let mut measured = Duration::ZERO;
        while *now < until {
            *now += CHECK;
            measured = watchdog.measure_hang(pending, *now);
        }
        measured
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_queue_that_moves_is_no_hang() {
        let start = Instant::now();
        let mut now = start;
        let at = |ms| start + Duration::from_millis(ms);
        let mut watchdog = Watchdog::default();
        for (progress, ms) in [(5, 1_800), (6, 3_600), (7, 5_400), (9, 7_200)] {
            let measured = check_until(&mut watchdog, Some(progress), &mut now, at(ms));
            assert!(measured < Duration::from_secs(2), "{measured:?}");
        }
        let measured = check_until(&mut watchdog, Some(9), &mut now, at(10_500));
        assert_eq!(measured, Duration::from_secs(5), "since the first check with 9");
        assert_eq!(watchdog.measure_hang(Some(10), at(10_600)), Duration::ZERO);
        assert_eq!(watchdog.measure_hang(None, at(10_700)), Duration::ZERO);
        assert_eq!(
            watchdog.measure_hang(Some(10), at(10_800)),
            Duration::ZERO,
            "the pause doesn't count"
        );
    }

    /// SIGSTOP or a stunned machine with a sync under way once ended the process when it came back.
    #[tokio::test(start_paused = true)]
    async fn a_stop_of_the_process_is_no_hang_of_the_disk() {
        let start = Instant::now();
        let mut now = start + CHECK;
        let mut watchdog = Watchdog::default();
        watchdog.measure_hang(Some(3), start);
        watchdog.measure_hang(Some(3), now);
        for _ in 0..3 {
            now += Duration::from_secs(60);
            let measured = watchdog.measure_hang(Some(3), now);
            assert!(measured < Duration::from_secs(2), "{measured:?}");
        }
        let until = now + Duration::from_secs(5);
        let measured = check_until(&mut watchdog, Some(3), &mut now, until);
        assert!(measured >= Duration::from_secs(5), "but it does hang: {measured:?}");
    }
}
