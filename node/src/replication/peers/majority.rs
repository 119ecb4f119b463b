//! Whether a majority answers this primary, and how far its followers are: the engine's own view.
//!
//! It returns nothing before the engine runs, and never caches.

use std::sync::OnceLock;

use evenkeel_wire::id::NodeId;
use openraft::async_runtime::Instant as _;
use tokio::time::Instant;

use crate::replication::{
    Raft,
    progress::{self, FollowerProgress},
};

/// The engine's view of this node's lead.
pub struct Majority {
    /// The cluster has one site: it's a majority by itself.
    is_alone: bool,
    raft: OnceLock<Raft>,
}

impl Majority {
    /// `others`: the other members.
    pub fn new(others: &[NodeId]) -> Self {
        Self { is_alone: others.is_empty(), raft: OnceLock::new() }
    }

    /// Gives access to the engine, once it's built.
    pub fn attach(&self, raft: Raft) {
        assert!(self.raft.set(raft).is_ok(), "the engine is attached once");
    }

    /// The term that this node leads, if it leads one.
    pub fn led_term(&self) -> Option<u64> {
        progress::led_term(self.raft.get()?)
    }

    /// The term of this node's vote.
    pub fn vote_term(&self) -> u64 {
        self.raft.get().map_or(0, |raft| progress::read_status(raft).term)
    }

    /// How far the followers are, on the primary.
    pub fn followers(&self) -> Vec<FollowerProgress> {
        self.raft.get().map_or_else(Vec::new, |raft| progress::read_status(raft).followers)
    }

    /// When a majority last answered this primary. `None` while it isn't one, and before the first
    /// such answer: a node that has just restarted still leads its old term by the vote on its
    /// disk.
    pub fn answered_at(&self, now: Instant) -> Option<Instant> {
        let leader = self.raft.get()?.as_leader().ok()?;
        if self.is_alone {
            return Some(now);
        }
        leader.last_quorum_acked().and_then(|at| now.checked_sub(at.elapsed()))
    }

    /// The sites that have acknowledged a record to this primary in its term.
    pub fn acknowledging(&self) -> Vec<NodeId> {
        let Some(raft) = self.raft.get() else { return Vec::new() };
        let followers = progress::read_status(raft).followers.into_iter();
        let acknowledging = followers.filter(|follower| follower.matched.is_some());
        acknowledging.map(|follower| follower.node).collect()
    }
}
