//! What the primary knows of its followers' progress, and handing over to one of them.

use std::time::Duration;

use evenkeel_wire::id::NodeId;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::{Raft, peers::book::Peers};

/// One follower's progress, as the primary knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    pub node: NodeId,
    /// The newest position that it has durable.
    pub matched: Option<u64>,
}

/// A moment of replication.
#[derive(Clone, Debug)]
pub struct ReplicationStatus {
    pub term: u64,
    pub is_primary: bool,
    pub is_candidate: bool,
    pub primary: Option<NodeId>,
    pub committed: Option<u64>,
    /// Only the primary knows.
    pub followers: Vec<FollowerProgress>,
    /// The engine has stopped, and why.
    pub stopped: Option<String>,
}

/// Looks at replication.
pub fn read_status(raft: &Raft) -> ReplicationStatus {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let own = *raft.node_id();
    let followers = metrics.replication.iter().flatten().filter(|(node, _)| **node != own);
    ReplicationStatus {
        term: metrics.current_term,
        is_primary: metrics.state.is_leader(),
        is_candidate: metrics.state.is_candidate(),
        primary: metrics.current_leader,
        committed: metrics.local_committed.as_ref().map(|id| id.index()),
        followers: followers
            .map(|(node, matched)| FollowerProgress {
                node: *node,
                matched: matched.as_ref().map(|id| id.index()),
            })
            .collect(),
        stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
    }
}

/// The follower that a primary hands its role to: of those that answered just now, have room on their disks and can be elected,
/// the one that has most.
pub fn successor(raft: &Raft, peers: &Peers, now: Instant) -> Option<NodeId> {
    let fit = |node| {
        let heard = peers.last_report(node);
        heard.is_some_and(|heard| {
            let lately = now.saturating_duration_since(heard.at) < ANSWERED_LATELY;
            lately && !heard.disk_full && !heard.joining
        })
    };
    let followers = read_status(raft).followers;
    let fit = followers.into_iter().filter(|follower| fit(follower.node));
    fit.max_by_key(|follower| follower.matched).map(|follower| follower.node)
}

/// Asks a follower to take over. It does so when it has everything; nothing says so here: watch the lead.
///
/// # Errors
/// When the engine has stopped.
pub async fn hand_over(raft: &Raft, to: NodeId) -> Result<(), String> {
    raft.trigger().transfer_leader(to).await.map_err(|error| error.to_string())
}

/// How long ago a follower may have answered that is to take over.
const ANSWERED_LATELY: Duration = Duration::from_secs(1);

/// How long a follower has to become fit to take over, once it's asked for.
pub const FIT_PATIENCE: Duration = Duration::from_secs(3);

/// How long a hand-over may take before it counts as failed.
pub const HANDOVER_PATIENCE: Duration = Duration::from_secs(5);
