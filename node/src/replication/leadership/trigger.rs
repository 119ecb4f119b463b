//! Looks for reasons why this primary can't do its work, and hands its role to a follower that can,
//! so that clients needn't wait for an operator.
//!
//! It never does so without an eligible follower, and at most once in 10 s: where no other site is
//! better off, the primary stays and refuses what it can't do.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::id::NodeId;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    handover::{Handover, PendingHandover, Successor},
    watchdog::Watchdog,
};
use crate::{
    replication::{empty_copy::EmptyCopies, peers::mute_gate::MuteGate},
    state::AppliedState,
    telemetry::timeline::Timeline,
};

/// How often it checks.
const PACE: Duration = Duration::from_millis(100);
/// How long it waits after a handover before it begins another one.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A write or sync slower than this disqualifies the primary.
const DISK_HANGS_AFTER: Duration = Duration::from_secs(2);
/// A write or sync slower than this ends the process: such a disk doesn't recover by waiting.
const DISK_LOST_AFTER: Duration = Duration::from_secs(5);
/// Why the process ends then.
pub const DISK_HUNG: &str = "the disk hangs: a write or sync of the journal has taken more than 5 s; nothing is \
                             acknowledged that isn't on a majority of disks. Look at the disk, then start again";

/// Why a primary hands its role over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverReason {
    /// There's no room for the next segment: new commands are refused.
    #[error("this site's disk is full")]
    DiskFull,
    /// A write or sync doesn't return.
    #[error("this site's disk hangs")]
    DiskHangs,
    /// A site came back empty or rolled back, after it had acknowledged records to this primary.
    #[error(
        "site {0}'s disk was lost or rolled back under this primary, and only another one can fill it"
    )]
    LostDisk(NodeId),
}

/// Hands the role over when this primary can't work.
pub struct HandoverTrigger {
    pub handover: Handover,
    pub journal: Journal,
    pub gate: Arc<MuteGate>,
    pub empty_copies: Arc<EmptyCopies>,
    pub state: Arc<AppliedState>,
    pub timeline: Option<Timeline>,
}

impl HandoverTrigger {
    /// Checks until the engine stops, or the disk is lost.
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
                // The others elect at once, even if the handover below fails.
                self.gate.fall_silent(now);
                if hangs_for >= DISK_LOST_AFTER {
                    return self.state.fail(DISK_HUNG);
                }
            }
            let lately = tried.is_some_and(|at| now.saturating_duration_since(at) < RETRY_AFTER);
            let Some(why) = self.find_reason(hangs_for).filter(|_| !lately) else { continue };
            let Some(successor) = self.handover.choose(now) else { continue };
            tried = Some(now);
            self.record_reason(successor, why);
            match self.handover.begin(successor).await {
                Ok(pending) => {
                    tokio::spawn(silence_unless_taken_over(pending, self.gate.clone()));
                }
                Err(error) => tracing::warn!(%error, "can't hand the primary role over"),
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
        self.empty_copies.admit().first().copied().map(HandoverReason::LostDisk)
    }

    fn record_reason(&self, successor: Successor, why: HandoverReason) {
        let to = successor.node;
        tracing::warn!(%why, to, "this site can't go on as the primary: handing the role over");
        if let Some(timeline) = &self.timeline {
            timeline.record("stepped_aside", json!({ "to": to, "why": why.to_string() }));
        }
    }
}

/// Once a handover has begun, the engine accepts no more commands in this term, whether the
/// successor takes over or not.
async fn silence_unless_taken_over(pending: PendingHandover, gate: Arc<MuteGate>) {
    let to = pending.successor().node;
    if pending.is_overdue().await {
        tracing::warn!(
            to,
            "the primary role wasn't taken over: falling silent, so that the others elect"
        );
        gate.fall_silent(Instant::now());
    }
}
