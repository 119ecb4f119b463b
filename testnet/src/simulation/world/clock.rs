//! Wall clocks of simulated sites: simulated time plus each site's error, which may step and grow.

use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_node::clock::Clock;
use tokio::time::Instant;

/// The start of every simulation, in microseconds since the Unix epoch: 25 s before a midnight in
/// Seoul in September 2026, so that a day ends in every run.
const BEGINNING: u64 = 1_790_002_775_000_000;

/// One site's clock.
pub struct SimulatedClock {
    start: Instant,
    error: Mutex<ClockError>,
}

/// How far a clock is ahead, microseconds; negative: behind.
#[derive(Clone, Copy, Debug)]
struct ClockError {
    base: i64,
    /// By how many percent it's too fast since `since` (microseconds of true time); −100: it
    /// stands.
    percent: i64,
    since: i64,
}

impl ClockError {
    fn at(&self, elapsed: i64) -> i64 {
        self.base + (elapsed - self.since) * self.percent / 100
    }
}

impl SimulatedClock {
    /// A clock that is this many microseconds ahead of simulated time.
    #[must_use]
    pub fn new(start: Instant, offset: i64) -> Self {
        Self { start, error: Mutex::new(ClockError { base: offset, percent: 0, since: 0 }) }
    }

    /// Steps the clock by this many microseconds.
    pub fn step(&self, by: i64) {
        self.error().base += by;
    }

    /// Makes the clock too fast by this percentage from now on; negative: too slow.
    pub fn set_rate(&self, percent: i64) {
        let elapsed = self.elapsed();
        let mut error = self.error();
        *error = ClockError { base: error.at(elapsed), percent, since: elapsed };
    }

    /// How far the clock is ahead now, microseconds; negative: behind.
    pub fn ahead(&self) -> i64 {
        let elapsed = self.elapsed();
        self.error().at(elapsed)
    }

    /// The true time, microseconds since the Unix epoch.
    pub fn true_micros(&self) -> u64 {
        BEGINNING.saturating_add_signed(self.elapsed())
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).expect("a run is short")
    }

    fn error(&self) -> MutexGuard<'_, ClockError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn wall_micros(&self) -> u64 {
        self.true_micros().saturating_add_signed(self.ahead())
    }
}
