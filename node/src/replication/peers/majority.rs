//! Whether a majority answers this primary, and how far its followers are: the engine's own view,
//! and the answers that come after the engine has stopped waiting for them.
//!
//! It returns nothing before the engine runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use evenkeel_wire::id::NodeId;
use openraft::async_runtime::Instant as _;
use tokio::time::Instant;

use crate::replication::{
    Raft,
    progress::{self, FollowerProgress},
};

/// The engine's view of this node's lead.
pub struct Majority {
    /// How many other sites make a majority with this one; 0: it's one by itself.
    needed: usize,
    raft: OnceLock<Raft>,
    answers: Mutex<LateAnswers>,
}

/// For each peer, the term of its newest answer and when the answered message was sent.
#[derive(Default)]
struct LateAnswers(BTreeMap<NodeId, (u64, Instant)>);

impl LateAnswers {
    fn record(&mut self, peer: NodeId, term: u64, sent: Instant) {
        let newest = self.0.entry(peer).or_insert((term, sent));
        *newest = (*newest).max((term, sent));
    }

    /// The latest time from which so many peers have answered a message of this term.
    fn answered_by(&self, needed: usize, term: u64) -> Option<Instant> {
        let of_term = self.0.values().filter(|(answered, _)| *answered == term);
        let mut sent: Vec<Instant> = of_term.map(|(_, sent)| *sent).collect();
        sent.sort_unstable_by(|one, other| other.cmp(one));
        sent.get(needed.checked_sub(1)?).copied()
    }
}

impl Majority {
    /// `others`: the other members.
    pub fn new(others: &[NodeId]) -> Self {
        let needed = others.len().div_ceil(2);
        Self { needed, raft: OnceLock::new(), answers: Mutex::default() }
    }

    /// A peer answered an append or a heartbeat of an elected primary's term, sent at `sent`: until
    /// then it had voted for nobody else.
    pub fn record_answer(&self, peer: NodeId, term: u64, sent: Instant) {
        self.answers().record(peer, term, sent);
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, LateAnswers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
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
        if self.needed == 0 {
            return Some(now);
        }
        let in_time = leader.last_quorum_acked().and_then(|at| now.checked_sub(at.elapsed()));
        in_time.max(self.answers().answered_by(self.needed, leader.term()))
    }

    /// The sites that have acknowledged a record to this primary in its term.
    pub fn acknowledging(&self) -> Vec<NodeId> {
        let Some(raft) = self.raft.get() else { return Vec::new() };
        let followers = progress::read_status(raft).followers.into_iter();
        let acknowledging = followers.filter(|follower| follower.matched.is_some());
        acknowledging.map(|follower| follower.node).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_counts_from_the_time_of_its_question_and_in_its_term_alone() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut answers = LateAnswers::default();
        assert_eq!(answers.answered_by(1, 7), None);
        answers.record(2, 7, at(10));
        answers.record(3, 7, at(30));
        answers.record(3, 7, at(20));
        assert_eq!(answers.answered_by(1, 7), Some(at(30)));
        assert_eq!(answers.answered_by(2, 7), Some(at(10)), "of five sites");
        assert_eq!(answers.answered_by(3, 7), None);
        answers.record(3, 8, at(5));
        assert_eq!(answers.answered_by(1, 7), Some(at(10)), "it follows a later term");
        assert_eq!(answers.answered_by(1, 8), Some(at(5)));
        assert_eq!(answers.answered_by(1, 9), None);
    }
}
