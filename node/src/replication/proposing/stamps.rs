//! Entries' timestamps: never behind the journal's time, and never far ahead of it by one clock
//! alone.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::replication::peers::book::PeerBook;
use crate::{
    clock::Clock,
    limits::{CLOCK_TOLERANCE, TIME_STEP_MAX},
    state::AppliedState,
};

/// Stamps entries. A step of more than a minute is taken only if a majority's clocks agree with
/// ours; otherwise time stands still.
pub struct Stamps {
    clock: Arc<dyn Clock>,
    book: Arc<PeerBook>,
    state: Arc<AppliedState>,
    members: usize,
    last: u64,
    taken: ClockReading,
    standing_still: bool,
}

/// The wall clock when its time was last used, in microseconds since the Unix epoch, and the
/// monotonic clock at that moment. With both, an hour without entries is no step of an hour.
#[derive(Clone, Copy, Debug, Default)]
struct ClockReading(Option<(u64, Instant)>);

impl ClockReading {
    /// How far the wall clock is ahead of what the last entry and the monotonic clock predict.
    fn clock_step(self, last: u64, now: u64, at: Instant) -> Duration {
        let expected = self.0.map_or(0, |(wall, taken_at)| {
            let passed = at.saturating_duration_since(taken_at).as_micros();
            wall.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
        });
        Duration::from_micros(now.saturating_sub(last.max(expected)))
    }
}

impl Stamps {
    pub fn new(
        clock: Arc<dyn Clock>,
        book: Arc<PeerBook>,
        state: Arc<AppliedState>,
        members: usize,
    ) -> Self {
        let taken = ClockReading::default();
        Self { clock, book, state, members, last: 0, taken, standing_still: false }
    }

    /// The time of an entry made now, microseconds since the Unix epoch.
    pub fn next_time(&mut self) -> u64 {
        let last = self.last.max(self.state.ledger_time());
        let (now, at) = (self.clock.wall_micros(), Instant::now());
        if now <= last {
            last
        } else if self.taken.clock_step(last, now, at) <= TIME_STEP_MAX || self.majority_agrees() {
            self.taken = ClockReading(Some((now, at)));
            self.report_resumed(now);
            now
        } else {
            self.report_stall(last, now);
            last
        }
    }

    /// Records that an entry has this time: no later entry gets an earlier one.
    pub fn record_time(&mut self, time: u64) {
        self.last = self.last.max(time);
    }

    fn majority_agrees(&self) -> bool {
        let age = Duration::from_secs(10);
        let agreeing = self.book.clocks_agreeing(Instant::now(), CLOCK_TOLERANCE, age);
        agreeing + 1 > self.members / 2
    }

    fn report_resumed(&mut self, now: u64) {
        if std::mem::take(&mut self.standing_still) {
            tracing::warn!(now, "a majority's clocks agree again: the ledger's time moves on");
        }
    }

    fn report_stall(&mut self, last: u64, now: u64) {
        if !std::mem::replace(&mut self.standing_still, true) {
            tracing::error!(
                last,
                now,
                "this clock is more than a minute ahead of the journal and no majority of clocks agrees: \
                 the ledger's time stands still; check the clocks of all sites"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000;

    #[tokio::test(start_paused = true)]
    async fn a_step_is_what_a_clock_does_and_not_what_passes_between_entries() {
        let start = Instant::now();
        let later = |micros| start + Duration::from_micros(micros);
        let fresh = ClockReading::default();
        assert_eq!(
            fresh.clock_step(100, 100 + MINUTE, start),
            Duration::from_secs(60),
            "as the journal says"
        );
        let taken = ClockReading(Some((100, start)));
        assert_eq!(
            taken.clock_step(100, 100 + 3 * MINUTE, later(3 * MINUTE)),
            Duration::ZERO,
            "a quiet hour"
        );
        assert_eq!(
            taken.clock_step(100, 100 + 3 * MINUTE, later(MINUTE)),
            Duration::from_secs(120),
            "a jump"
        );
        assert_eq!(
            taken.clock_step(100 + MINUTE, 100 + 3 * MINUTE, start),
            Duration::from_secs(120)
        );
        assert_eq!(taken.clock_step(100, 50, later(MINUTE)), Duration::ZERO, "set back");
    }
}
