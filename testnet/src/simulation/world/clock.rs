//! Wall clocks of simulated sites: simulated time plus each site's error.

use std::sync::atomic::{AtomicI64, Ordering};

use evenkeel_node::clock::Clock;
use tokio::time::Instant;

/// The start of every simulation, in microseconds since the Unix epoch: 25 s before a midnight in
/// Seoul in September 2026, so that a day ends in every run.
const BEGINNING: u64 = 1_790_002_775_000_000;

/// One site's clock.
pub struct SimulatedClock {
    start: Instant,
    offset: AtomicI64,
}

impl SimulatedClock {
    /// A clock that is this many microseconds ahead of simulated time.
    #[must_use]
    pub fn new(start: Instant, offset: i64) -> Self {
        Self { start, offset: AtomicI64::new(offset) }
    }

    /// Steps the clock by this many microseconds.
    pub fn step(&self, by: i64) {
        self.offset.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn wall_micros(&self) -> u64 {
        let elapsed = u64::try_from(self.start.elapsed().as_micros()).expect("a run is short");
        BEGINNING.saturating_add(elapsed).saturating_add_signed(self.offset.load(Ordering::Relaxed))
    }
}
