//! A primary that can't do its work steps aside: it hands its role to a follower that can, so that clients needn't wait for
//! an operator.
//!
//! It never does so without somebody to take over, and never again and again: where nobody is better off, it stays and
//! refuses what it can't do.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::id::NodeId;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::watchdog::Watchdog;
use crate::replication::{Raft, peers::book::Peers, progress};
use crate::{state::AppliedState, telemetry::timeline::Timeline};

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);
/// How long it waits before it tries to be relieved again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long one write or sync may take before a primary is one no more.
const DISK_HANGS_AFTER: Duration = Duration::from_secs(2);
/// How long it may take before the process ends: what hangs so long doesn't come back as it was.
const DISK_LOST_AFTER: Duration = Duration::from_secs(5);
/// Why the process ends then.
pub const DISK_HUNG: &str = "the disk hangs: a write or sync of the journal has taken more than 5 s; nothing is \
                             acknowledged that isn't on a majority of disks. Look at the disk, then start again";
/// How long a successor may take.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(2);

/// Why a primary wants to be relieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverReason {
    /// There's no room for the next segment: new commands are refused.
    #[error("this site's disk is full")]
    DiskFull,
    /// A write or sync doesn't come back.
    #[error("this site's disk hangs")]
    DiskHangs,
    /// A site came back empty, after its lost copy had acknowledged records to this primary.
    #[error("site {0} lost its disk under this primary, and only another one can fill it")]
    LostDisk(NodeId),
}

/// Looks for reasons to step aside.
pub struct HandoverTrigger {
    pub raft: Raft,
    pub journal: Journal,
    pub peers: Arc<Peers>,
    pub state: Arc<AppliedState>,
    pub timeline: Option<Timeline>,
}

impl HandoverTrigger {
    /// Looks for as long as the engine runs.
    pub async fn run(self) {
        let mut tick = interval(PACE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Watchdog::default();
        let mut tried: Option<Instant> = None;
        loop {
            tick.tick().await;
            let now = Instant::now();
            let hangs_for = watchdog.measure_hang(self.journal.oldest_pending(), now);
            if hangs_for >= DISK_HANGS_AFTER {
                // Whoever leads with a disk that hangs is no primary: the others find out at once.
                self.peers.fall_silent(now);
                if hangs_for >= DISK_LOST_AFTER {
                    return self.state.fail(DISK_HUNG);
                }
            }
            let lately = tried.is_some_and(|at| now.saturating_duration_since(at) < RETRY_AFTER);
            let Some(why) = self.find_reason(hangs_for).filter(|_| !lately) else { continue };
            let Some(term) = self.peers.led_term() else { continue };
            if let Some(to) = progress::successor(&self.raft, &self.peers, now) {
                tried = Some(now);
                self.hand_over(to, why).await;
                tokio::spawn(silence_unless_taken_over(self.peers.clone(), term, to));
            }
        }
    }

    fn find_reason(&self, hangs_for: Duration) -> Option<HandoverReason> {
        if hangs_for >= DISK_HANGS_AFTER {
            return Some(HandoverReason::DiskHangs);
        }
        if self.journal.is_disk_full() {
            return Some(HandoverReason::DiskFull);
        }
        self.peers.admit_copies().first().copied().map(HandoverReason::LostDisk)
    }

    async fn hand_over(&self, to: NodeId, why: HandoverReason) {
        tracing::warn!(%why, to, "this site can't go on as the primary: handing the role over");
        if let Some(timeline) = &self.timeline {
            timeline.record("stepped_aside", json!({ "to": to, "why": why.to_string() }));
        }
        if let Err(error) = progress::hand_over(&self.raft, to).await {
            tracing::warn!(%error, "can't hand the primary role over");
        }
    }
}

/// Once asked to hand over, the engine takes no more commands in this term, whether it's relieved or not.
async fn silence_unless_taken_over(peers: Arc<Peers>, term: u64, to: NodeId) {
    sleep(TAKEOVER_PATIENCE).await;
    if peers.led_term() == Some(term) {
        tracing::warn!(
            to,
            "the primary role wasn't taken over: falling silent, so that the others elect"
        );
        peers.fall_silent(Instant::now());
    }
}
