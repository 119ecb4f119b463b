//! Why a running node stops, and the handover before a primary stops. It stops nothing itself.

use std::time::Duration;

use evenkeel_storage::journal::Journal;
use tokio::{sync::watch, time::Instant};

use crate::{
    clock::format_span,
    replication::{engine::Replication, leadership::handover::Handover, progress},
    state::AppliedState,
};

/// Waits for a reason to stop. `None`: a signal; otherwise the fault.
pub(crate) async fn supervise(
    mut signalled: watch::Receiver<bool>,
    replication: &Replication,
    journal: &Journal,
    state: &AppliedState,
) -> Option<String> {
    let mut failed = state.watch_failure();
    let mut poll = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = signalled.wait_for(|stop| *stop) => return None,
            _ = failed.changed() => return failed.borrow().clone(),
            _ = poll.tick() => {
                if let Some(why) = journal.poison_reason() {
                    return Some(format!("the journal can't be written: {why}"));
                }
                if let Some(why) = progress::read_status(&replication.raft).stopped {
                    let known = failed.borrow().clone();
                    return Some(known.unwrap_or(format!("replication has stopped: {why}")));
                }
            }
        }
    }
}

/// The time that requests returned by the batcher need to reach the new primary.
const REROUTE_TIME: Duration = Duration::from_millis(200);

/// A primary hands its role over before it stops, so that clients needn't wait for an election.
pub(crate) async fn hand_over_role(handover: &Handover) {
    if !handover.is_primary() {
        return;
    }
    let begun = Instant::now();
    let Some(successor) = handover.choose(begun) else {
        return tracing::warn!("no peer answers: stopping without handing the primary role over");
    };
    let pending = match handover.begin(successor).await {
        Ok(pending) => pending,
        Err(error) => return tracing::warn!(%error, "can't hand the primary role over"),
    };
    let to = successor.node;
    if pending.wait_for_primary().await {
        tracing::info!(to, took = format_span(begun.elapsed()), "handed the primary role over");
    } else {
        tracing::warn!(to, "the primary role wasn't taken over in time");
    }
    tokio::time::sleep(REROUTE_TIME).await;
}
