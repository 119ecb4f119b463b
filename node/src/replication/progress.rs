//! The engine's view of this node's role and, on the primary, of its followers' progress.
//!
//! It only reads.

use evenkeel_wire::id::NodeId;
use openraft::async_runtime::watch::WatchReceiver;

use super::Raft;

/// One follower's progress, on the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    pub node: NodeId,
    /// Its newest durable position, as far as the primary can tell.
    pub matched: Option<u64>,
}

/// Replication at one moment.
#[derive(Clone, Debug)]
pub struct ReplicationStatus {
    pub term: u64,
    pub is_primary: bool,
    pub is_candidate: bool,
    pub primary: Option<NodeId>,
    pub committed: Option<u64>,
    /// Empty unless this node is the primary.
    pub followers: Vec<FollowerProgress>,
    /// Why the engine has stopped; `None` while it runs.
    pub stopped: Option<String>,
}

/// Reads the engine's metrics.
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

/// The term that this node leads, if it leads one.
pub fn led_term(raft: &Raft) -> Option<u64> {
    raft.as_leader().ok().map(|leader| leader.term())
}
