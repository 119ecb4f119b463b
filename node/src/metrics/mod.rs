//! The node's metrics, for Prometheus: only this module uses the library, the names and the labels.
//!
//! Counters and histograms are updated where events happen, with a few atomic operations per entry
//! or request and none per command; everything else is read once per scrape. Labels are `code`,
//! `door`, `peer` (a site's name) and `asset`, never an id: a scrape reveals no account, and the
//! number of series is bounded. All counts restart with the process. They never decide anything:
//! nothing in the node reads a metric back.

mod decisions;
mod doors;
mod families;
mod keeper;
mod reading;
mod syncs;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::outcome::Answer;
use prometheus::{Histogram, IntCounter, IntGauge, Registry, TextEncoder};

use decisions::Decisions;
use families::Families;
use reading::LiveGauges;

pub use doors::{ConnectionGuard, DoorKind, DoorMetrics};
pub use keeper::{KeeperTimes, KeeperWork};
pub use reading::{PeerReading, Reading, resident_bytes};
pub use syncs::SyncTimes;

/// The type of a scrape: Prometheus' text format, not OpenMetrics.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// From a quarter of a millisecond, less than two disks need, to longer than a failover.
const COMMIT_SECONDS: [f64; 13] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The metrics of one node.
pub struct Metrics {
    registry: Registry,
    decisions: Decisions,
    doors: [Arc<DoorMetrics>; 3],
    syncs: Arc<SyncTimes>,
    keeper: Arc<KeeperTimes>,
    commit: Histogram,
    in_flight: IntGauge,
    elections: IntCounter,
    digest_mismatches: IntCounter,
    live: LiveGauges,
    /// One scrape at a time: the gauges of two readings must not mix.
    scraping: Mutex<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All families, at zero.
    #[must_use]
    pub fn new() -> Self {
        let families = Families::new();
        Self {
            decisions: Decisions::new(&families),
            doors: DoorMetrics::for_all_doors(&families),
            syncs: Arc::new(SyncTimes::new(&families)),
            keeper: Arc::new(KeeperTimes::new(&families)),
            commit: families.histogram(
                "commit_duration_seconds",
                "Time from an entry's proposal to its application; only the primary proposes.",
                &COMMIT_SECONDS,
            ),
            in_flight: families.gauge(
                "in_flight_entries",
                "Entries that this node has proposed and that aren't applied yet.",
            ),
            elections: families.counter(
                "elections_total",
                "Terms begun that this node has seen since its start, handovers included.",
            ),
            digest_mismatches: families.counter(
                "digest_mismatches_total",
                "Times that this node, as the primary, saw another one's state differ from its own.",
            ),
            live: LiveGauges::new(&families),
            registry: families.into_registry(),
            scraping: Mutex::default(),
        }
    }

    /// The metrics of one door.
    #[must_use]
    pub fn door(&self, door: DoorKind) -> &Arc<DoorMetrics> {
        let [quic, http, forward] = &self.doors;
        match door {
            DoorKind::Quic => quic,
            DoorKind::Http => http,
            DoorKind::Forward => forward,
        }
    }

    /// The observer of the journal's syncs.
    #[must_use]
    pub fn syncs(&self) -> &Arc<SyncTimes> {
        &self.syncs
    }

    /// The CPU time of the keeper's work.
    #[must_use]
    pub fn keeper(&self) -> &Arc<KeeperTimes> {
        &self.keeper
    }

    /// Counts an applied entry of commands, with these answers.
    pub fn count_applied(&self, answers: &[Answer]) {
        self.decisions.count_outcomes(answers);
    }

    /// Counts commands that were answered with an earlier outcome before they reached the journal.
    pub fn count_repeats(&self, count: usize) {
        self.decisions.count_repeats(count);
    }

    /// Counts an applied entry without commands.
    pub fn count_empty_entry(&self) {
        self.decisions.count_empty_entry();
    }

    /// Observes the time from proposal to application of an entry that this node proposed.
    pub fn observe_commit(&self, took: Duration) {
        self.commit.observe(took.as_secs_f64());
    }

    /// Sets the number of entries that are proposed and not applied yet.
    pub fn set_in_flight(&self, entries: usize) {
        self.in_flight.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// Counts terms that have begun since the last call.
    pub fn count_terms(&self, terms: u64) {
        self.elections.inc_by(terms);
    }

    /// Counts a site whose state differs from this primary's.
    pub fn count_digest_mismatch(&self) {
        self.digest_mismatches.inc();
    }

    /// All families as text of [`CONTENT_TYPE`], with a fresh reading of the running node.
    #[must_use]
    pub fn scrape(&self, reading: &Reading) -> String {
        let one_at_a_time = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        self.live.set_reading(reading, self.syncs.pending());
        let families = self.registry.gather();
        drop(one_at_a_time);
        TextEncoder::new()
            .encode_to_string(&families)
            .expect("a family that is registered can be written")
    }
}
