//! The peer book: the last report of each peer, from its answers to appends.
//!
//! It only records: it never sends and never decides.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use evenkeel_wire::{id::NodeId, peer::AppendReply};
use tokio::time::Instant;

/// A peer's last answer.
#[derive(Clone, Copy, Debug)]
pub struct PeerReport {
    /// When this node received it.
    pub at: Instant,
    /// Whether the peer's disk has no room for its next segment.
    pub disk_full: bool,
    /// Whether the peer's copy began empty and hasn't caught up.
    pub joining: bool,
}

/// The last report of every peer that has answered since the start.
#[derive(Default)]
pub struct PeerBook {
    reports: Mutex<BTreeMap<NodeId, PeerReport>>,
    /// Apart from the reports, because it's read for every command.
    full_disks: AtomicUsize,
}

impl PeerBook {
    pub fn record_answer(&self, from: NodeId, reply: &AppendReply) {
        let AppendReply { disk_full, joining, .. } = *reply;
        let mut reports = self.reports();
        let at = Instant::now();
        reports.insert(from, PeerReport { at, disk_full, joining });
        let full = reports.values().filter(|report| report.disk_full).count();
        self.full_disks.store(full, Ordering::Relaxed);
    }

    pub fn last_report(&self, from: NodeId) -> Option<PeerReport> {
        self.reports().get(&from).copied()
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
