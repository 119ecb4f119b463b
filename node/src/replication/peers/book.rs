//! The peer book: the last report of each peer, from its answers to appends.
//!
//! It only records: it never sends and never decides.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_wire::{id::NodeId, peer::AppendReply};
use tokio::time::Instant;

use crate::clock::Clock;

/// A peer's last answer.
#[derive(Clone, Copy, Debug)]
pub struct PeerReport {
    /// When this node received it.
    pub at: Instant,
    /// The peer's clock less ours, microseconds.
    pub clock_offset: i64,
    /// Whether the peer's disk has no room for its next segment.
    pub disk_full: bool,
    /// Whether the peer's copy began empty and hasn't caught up.
    pub joining: bool,
}

/// The last report of every peer that has answered since the start.
pub struct PeerBook {
    clock: Arc<dyn Clock>,
    reports: Mutex<BTreeMap<NodeId, PeerReport>>,
    /// Apart from the reports, because it's read for every command.
    full_disks: AtomicUsize,
}

impl PeerBook {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, reports: Mutex::default(), full_disks: AtomicUsize::new(0) }
    }

    pub fn record_answer(&self, from: NodeId, reply: &AppendReply) {
        let ours = i128::from(self.clock.wall_micros());
        let offset = i128::from(reply.clock) - ours;
        let clock_offset =
            i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX });
        let AppendReply { disk_full, joining, .. } = *reply;
        let mut reports = self.reports();
        let at = Instant::now();
        reports.insert(from, PeerReport { at, clock_offset, disk_full, joining });
        let full = reports.values().filter(|report| report.disk_full).count();
        self.full_disks.store(full, Ordering::Relaxed);
    }

    pub fn last_report(&self, from: NodeId) -> Option<PeerReport> {
        self.reports().get(&from).copied()
    }

    /// How many peers have a clock within `tolerance` of ours, by answers not older than `age`.
    pub fn clocks_agreeing(&self, now: Instant, tolerance: Duration, age: Duration) -> usize {
        let micros = u64::try_from(tolerance.as_micros()).unwrap_or(u64::MAX);
        let agrees = |report: &&PeerReport| {
            now.saturating_duration_since(report.at) <= age
                && report.clock_offset.unsigned_abs() <= micros
        };
        self.reports().values().filter(agrees).count()
    }

    /// How many peers reported a full disk in their last answers. A peer that has stopped because
    /// of it still counts.
    pub fn full_disks(&self) -> usize {
        self.full_disks.load(Ordering::Relaxed)
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<NodeId, PeerReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
