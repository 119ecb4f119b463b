//! Looks for reasons why this primary can't do its work, and hands its role to a follower that can,
//! so that clients needn't wait for an operator.
//!
//! It never does so without an eligible follower, and at most once in 10 s (because of its clock:
//! once in a minute). Where no other site is better off, the primary stays and refuses what it
//! can't do.

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
    clock::comparison::format_difference,
    limits::{CLOCK_HANDOVER_AGAIN_AFTER, UNSEALED_BYTES_MAX},
    replication::{empty_copy::EmptyCopies, peers::mute_gate::MuteGate},
    state::AppliedState,
    telemetry::timeline::Timeline,
};

/// How often it checks.
const PACE: Duration = Duration::from_millis(100);
/// How long it waits after a handover before it begins another one.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A write or sync slower than this disqualifies the primary. Time in which this process was
/// stopped doesn't count.
const DISK_HANGS_AFTER: Duration = Duration::from_secs(2);
/// A write or sync slower than this ends the process: such a disk doesn't recover by waiting.
const DISK_LOST_AFTER: Duration = Duration::from_secs(5);
/// Why the process ends then.
pub const DISK_HUNG: &str = "the disk hangs: a write or sync of the journal has taken more than 5 s; nothing is \
                             acknowledged that isn't on a majority of disks. Look at the disk, then start again";

/// A primary whose journal is at its bound and whose keeper seals nothing for this long hands over.
const KEEPER_STUCK_AFTER: Duration = Duration::from_secs(30);

/// Why a primary hands its role over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverReason {
    /// There's no room for the next segment: new commands are refused.
    #[error("this site's disk is full")]
    DiskFull,
    /// A write or sync doesn't return.
    #[error("this site's disk hangs")]
    DiskHangs,
    /// Commands wait for a keeper that can't seal: an index that it needs is being rebuilt.
    #[error("this site seals nothing, and its journal is at the bound")]
    KeeperStuck,
    /// A site came back empty or rolled back, after it had acknowledged records to this primary.
    #[error(
        "another site's disk was lost or rolled back under this primary, and only another primary can fill it"
    )]
    LostDisk(NodeId),
    /// Its clock has differed from a majority's for a while, by these microseconds.
    #[error("this site's clock is {} a majority's", format_difference(*.0))]
    WrongClock(i64),
}

/// When this primary last began to hand its role over.
#[derive(Clone, Copy, Debug, Default)]
struct LastHandover {
    at: Option<Instant>,
    /// The last one because of the clock.
    by_clock_at: Option<Instant>,
}

impl LastHandover {
    /// Whether it's too soon to do so again for this reason.
    fn is_recent(&self, why: HandoverReason, now: Instant) -> bool {
        let within = |at: Option<Instant>, pause: Duration| {
            at.is_some_and(|at| now.saturating_duration_since(at) < pause)
        };
        let by_clock = matches!(why, HandoverReason::WrongClock(_));
        within(self.at, RETRY_AFTER)
            || (by_clock && within(self.by_clock_at, CLOCK_HANDOVER_AGAIN_AFTER))
    }

    fn record(&mut self, why: HandoverReason, now: Instant) {
        self.at = Some(now);
        if matches!(why, HandoverReason::WrongClock(_)) {
            self.by_clock_at = Some(now);
        }
    }
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
        let mut sealing = Watchdog::default();
        let mut last = LastHandover::default();
        loop {
            tick.tick().await;
            let now = Instant::now();
            let hangs_for = watchdog.measure_hang(self.journal.pending_progress(), now);
            if hangs_for >= DISK_HANGS_AFTER {
                // The others elect at once, even if the handover below fails.
                self.gate.fall_silent(now);
                if hangs_for >= DISK_LOST_AFTER {
                    return self.state.fail(DISK_HUNG);
                }
            }
            let seals_nothing_for = sealing.measure_hang(self.held_sealing(), now);
            let why = self.find_reason(hangs_for, seals_nothing_for);
            let Some(why) = why.filter(|why| !last.is_recent(*why, now)) else { continue };
            let Some(successor) = self.choose(why, now) else { continue };
            last.record(why, now);
            self.record_reason(successor, why);
            match self.handover.begin(successor).await {
                Ok(pending) => {
                    tokio::spawn(silence_unless_taken_over(pending, self.gate.clone()));
                }
                Err(error) => tracing::warn!(%error, "can't hand the primary role over"),
            }
        }
    }

    /// The segment that is to be sealed next, while commands wait for it.
    fn held_sealing(&self) -> Option<u64> {
        let is_held = self.journal.unsealed_bytes() >= UNSEALED_BYTES_MAX;
        is_held.then(|| self.journal.oldest_rolled().map_or(0, |segment| segment.first))
    }

    fn find_reason(
        &self,
        hangs_for: Duration,
        seals_nothing_for: Duration,
    ) -> Option<HandoverReason> {
        if hangs_for >= DISK_HANGS_AFTER {
            return Some(HandoverReason::DiskHangs);
        }
        if self.journal.is_disk_full() {
            return Some(HandoverReason::DiskFull);
        }
        if seals_nothing_for >= KEEPER_STUCK_AFTER {
            return Some(HandoverReason::KeeperStuck);
        }
        if let Some(node) = self.empty_copies.admit().first().copied() {
            return Some(HandoverReason::LostDisk(node));
        }
        let clocks = &self.handover.clocks;
        clocks.wrong_by(*self.handover.raft.node_id()).map(HandoverReason::WrongClock)
    }

    /// The best follower that is better off.
    fn choose(&self, why: HandoverReason, now: Instant) -> Option<Successor> {
        match why {
            HandoverReason::WrongClock(_) => self.handover.choose_by_clock(now),
            _ => self.handover.choose(now),
        }
    }

    fn record_reason(&self, successor: Successor, why: HandoverReason) {
        let to = successor.node;
        let lost = match why {
            HandoverReason::LostDisk(peer) => Some(peer),
            HandoverReason::DiskFull
            | HandoverReason::DiskHangs
            | HandoverReason::KeeperStuck
            | HandoverReason::WrongClock(_) => None,
        };
        tracing::warn!(
            %why,
            to,
            peer = lost,
            "this site can't go on as the primary: handing the role over"
        );
        if let Some(timeline) = &self.timeline {
            let details = json!({ "to": to, "why": why.to_string(), "peer": lost });
            timeline.record("stepped_aside", details);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_is_a_reason_once_a_minute_and_a_disk_once_in_ten_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (clock, disk) = (HandoverReason::WrongClock(-7_200_000_000), HandoverReason::DiskFull);
        assert_eq!(clock.to_string(), "this site's clock is 7200.0 s behind a majority's");
        let mut last = LastHandover::default();
        assert!(!last.is_recent(clock, at(0)) && !last.is_recent(disk, at(0)));
        last.record(clock, at(0));
        assert!(last.is_recent(clock, at(9)) && last.is_recent(disk, at(9)));
        assert!(last.is_recent(clock, at(59)) && !last.is_recent(disk, at(10)));
        assert!(!last.is_recent(clock, at(60)));
        last.record(disk, at(100));
        assert!(last.is_recent(clock, at(109)) && !last.is_recent(clock, at(110)));
    }
}
