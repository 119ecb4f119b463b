//! Why a running node ends, and how a primary takes its leave.

use std::time::Duration;

use evenkeel_storage::journal::Journal;
use tokio::time::Instant;

use crate::{
    replication::{engine::Replication, progress},
    road::Lead,
    state::AppliedState,
};

/// Waits for a reason to stop: `None`, it was asked to; else what is wrong.
pub(crate) async fn supervise(
    replication: &Replication,
    journal: &Journal,
    state: &AppliedState,
) -> Option<String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut failed = state.watch_failure();
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return Some("signals can't be heard".into());
    };
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = terminate.recv() => return None,
            _ = interrupt.recv() => return None,
            _ = failed.changed() => return failed.borrow().clone(),
            _ = look.tick() => {
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

/// A primary hands its role over before it stops, so that nobody waits for an election.
pub(crate) async fn hand_over_role(replication: &Replication) {
    if !matches!(*replication.lead.borrow(), Lead::Here(_)) {
        return;
    }
    let successor = progress::successor(&replication.raft, &replication.peers, Instant::now());
    let Some(to) = successor else {
        return tracing::warn!("no peer answers: stopping without handing the primary role over");
    };
    if let Err(error) = progress::hand_over(&replication.raft, to).await {
        return tracing::warn!(%error, "can't hand the primary role over");
    }
    let mut lead = replication.lead.clone();
    let handed = lead.wait_for(|lead| matches!(lead, Lead::There(_)));
    match tokio::time::timeout(Duration::from_secs(3), handed).await {
        Ok(Ok(_)) => tracing::info!(to, "handed the primary role over"),
        _ => tracing::warn!(to, "the primary role wasn't taken over in time"),
    }
    // Requests that came back from the batcher find their way to the new primary.
    tokio::time::sleep(Duration::from_millis(200)).await;
}
