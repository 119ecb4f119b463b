//! The time that the journal's syncs take, and whether one hangs at the moment. It never delays a
//! sync.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use evenkeel_storage::journal::SyncWatch;
use prometheus::Histogram;
use tokio::time::Instant;

use super::families::Families;

/// From the time of a disk with a protected cache to the time that disqualifies a primary.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Called by the journal's writer at every sync.
#[derive(Debug)]
pub struct SyncTimes {
    latency: Histogram,
    under_way: Mutex<Option<Instant>>,
}

impl SyncTimes {
    pub(crate) fn new(families: &Families) -> Self {
        let latency = families.histogram(
            "fdatasync_duration_seconds",
            "Time that one fdatasync of the journal took.",
            &SECONDS,
        );
        Self { latency, under_way: Mutex::default() }
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The duration of the current sync so far; zero if there's none. The histogram observes a sync
    /// only when it ends, so only this value shows a hanging disk.
    pub(crate) fn pending(&self) -> Duration {
        self.under_way().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl SyncWatch for SyncTimes {
    fn sync_begins(&self) {
        *self.under_way() = Some(Instant::now());
    }

    fn sync_ends(&self) {
        if let Some(since) = self.under_way().take() {
            self.latency.observe(since.elapsed().as_secs_f64());
        }
    }
}
