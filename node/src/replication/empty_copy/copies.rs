//! Everything that replication asks about copies that began empty: this node's own copy, the votes
//! in its candidacies, and the copies that it meets as a primary.
//!
//! It never talks to a peer: messages are its callers' work.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use evenkeel_wire::{
    id::NodeId,
    introduction::CopyStanding,
    peer::{Admittance, VoteReply},
};
use tokio::time::Instant;

use super::{
    admittance::{AdmittanceBasis, Admittances},
    status::EmptyCopy,
    votes::{Poll, Votes},
};
use crate::replication::peers::majority::Majority;

/// This node's own copy, and what it has learned of the others'.
pub struct EmptyCopies {
    own: EmptyCopy,
    votes: Votes,
    admittances: Mutex<Admittances>,
    majority: Arc<Majority>,
    /// It doesn't vote until the process is started again: its records may be damaged, or others
    /// went on without them.
    distrusted: AtomicBool,
}

/// Why a cluster's first election doesn't end this copy's waiting.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("not all other sites began empty and voted")]
    NotAll,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// This node's own copy.
impl EmptyCopies {
    /// `others`: the other members.
    pub fn new(own: EmptyCopy, others: Vec<NodeId>, majority: Arc<Majority>) -> Self {
        let (votes, admittances) = (Votes::new(others), Mutex::default());
        Self { own, votes, admittances, majority, distrusted: AtomicBool::new(false) }
    }

    /// Whether this node's copy began empty and hasn't caught up.
    pub fn is_joining(&self) -> bool {
        self.own.is_joining()
    }

    /// The number of this node's copy, if it began empty and hasn't caught up.
    pub fn copy_number(&self) -> Option<u64> {
        self.own.copy_number()
    }

    /// The kind of this node's copy, for peers.
    pub fn standing(&self) -> CopyStanding {
        self.own.standing()
    }

    /// Whether this node's copy may take part in a first election.
    pub fn may_bootstrap(&self) -> bool {
        self.own.may_bootstrap()
    }

    /// This node's copy has forgotten something: it counts for nothing until it has caught up.
    /// `true`: it counted before.
    ///
    /// # Errors
    /// When the marker can't be written.
    pub fn doubt(&self, copy: u64) -> io::Result<bool> {
        self.own.doubt(copy)
    }

    /// This node's copy doesn't vote until the process is started again.
    pub fn distrust(&self) {
        self.distrusted.store(true, Ordering::Release);
    }

    fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Acquire)
    }

    /// This node's copy holds durably everything that was committed: it counts from now on.
    ///
    /// # Errors
    /// When the marker can't be removed durably.
    pub fn mark_caught_up(&self) -> io::Result<()> {
        self.own.mark_caught_up()
    }

    /// This node won the cluster's first election, in this term: writes down who took part, and
    /// counts from now on. Returns how many other sites there are.
    ///
    /// # Errors
    /// When the files can't be written, or some other site didn't take part.
    pub fn bootstrap(&self, term: u64) -> Result<usize, BootstrapError> {
        let founders = self.votes.founders(Poll { term, pre_vote: false });
        let founders = founders.ok_or(BootstrapError::NotAll)?;
        let others = founders.len();
        self.own.bootstrap(founders)?;
        Ok(others)
    }

    /// Whether this node may take a primary's records. `Err`: it began empty, under this number,
    /// and the primary hasn't proved itself to it.
    ///
    /// # Errors
    /// When the marker of a copy that counts from now on can't be removed.
    pub fn check_admittance(&self, given: Option<&Admittance>) -> io::Result<Result<(), u64>> {
        let Some(copy) = self.own.copy_number() else { return Ok(Ok(())) };
        let silent = self.own.is_silent(Instant::now());
        match given.filter(|given| given.copy == copy && !silent) {
            None => Ok(Err(copy)),
            Some(Admittance { founder: true, founders, .. }) => {
                self.own.keep_founders(founders)?;
                tracing::info!(
                    "this copy took part in the cluster's first election: it counts from now on"
                );
                self.own.mark_caught_up()?;
                Ok(Ok(()))
            }
            Some(Admittance { founders, .. }) => {
                self.own.keep_founders(founders)?;
                self.own.begin_filling()?;
                Ok(Ok(()))
            }
        }
    }
}

/// Votes.
impl EmptyCopies {
    /// Whether this node refuses its vote to a candidate, without asking the engine. A copy that
    /// has forgotten nothing doesn't elect one that may have.
    pub fn refuses_vote(&self, candidate_joining: bool) -> bool {
        (candidate_joining && !self.own.may_bootstrap())
            || self.is_distrusted()
            || self.own.is_silent(Instant::now())
    }

    /// Records an answer to this node's candidacy.
    pub fn record_vote(&self, poll: Poll, from: NodeId, reply: &VoteReply) {
        self.votes.record_reply(poll, from, reply);
    }

    /// Whether a granted vote counts. `joining`: this candidate's copy still counted as empty when
    /// it requested the vote. Where all copies began empty, a vote counts once every site has
    /// granted its own: this waits for them, until the engine's timeout ends it.
    pub async fn vote_counts(
        &self,
        poll: Poll,
        joining: bool,
        voter: NodeId,
        voters_copy: Option<u64>,
    ) -> bool {
        if self.is_distrusted() || (joining && !self.own.may_bootstrap()) {
            return false;
        }
        match (joining, voters_copy) {
            // It may have become uncounted since it asked.
            (false, _) if self.own.is_joining() => false,
            (false, None) => true,
            (false, Some(copy)) => self.own.is_founder(voter, copy),
            (true, None) => false,
            (true, Some(_)) => {
                self.votes.wait_for_founders(poll).await;
                true
            }
        }
    }
}

/// The copies that a primary meets.
impl EmptyCopies {
    /// A peer's copy began empty and took nothing: it waits for an admittance.
    pub fn record_copy(&self, from: NodeId, copy: u64) {
        let Some(term) = self.majority.led_term() else { return };
        if self.admittances().record_copy(term, from, copy, Instant::now()) {
            tracing::warn!(
                peer = from,
                "a site's copy began empty or was rolled back: it counts for nothing until it has caught up"
            );
        }
    }

    /// The admittance for a peer's copy, if a primary of this term has given it one.
    pub fn admittance_for(&self, term: u64, to: NodeId) -> Option<Admittance> {
        let given = self.admittances().admittance_of(term, to)?;
        let founders = self.own.founder_copies();
        Some(Admittance { copy: given.copy, founder: given.founder, founders })
    }

    /// Admits every copy that may be filled. Returns the sites that only another primary can fill,
    /// because their lost copies acknowledged records to this one.
    pub fn admit(&self) -> Vec<NodeId> {
        let Some(term) = self.majority.led_term() else { return Vec::new() };
        if self.admittances().waiting(term).is_empty() {
            return Vec::new();
        }
        let confirmed = self.majority.answered_at(Instant::now());
        let acknowledging = self.majority.acknowledging();
        let mut admittances = self.admittances();
        admittances.admit_eligible(term, |node, copy| AdmittanceBasis {
            confirmed,
            acknowledged: acknowledging.contains(&node),
            founder: self.own.is_founder(node, copy),
        });
        let mut waiting = admittances.waiting(term);
        waiting.retain(|node| acknowledging.contains(node));
        waiting
    }

    fn admittances(&self) -> MutexGuard<'_, Admittances> {
        self.admittances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
