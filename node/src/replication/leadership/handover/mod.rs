//! Handover: the primary passes its role to a follower. An operator's switchover, a node that is
//! stopping and a primary that can't work (`super::trigger`) all take these steps:
//!
//! ```text
//! choose ─┐ the best follower
//!         ├─▶ Successor ─▶ begin ─▶ PendingHandover ─▶ wait_for_commit, wait_for_primary, …
//! check  ─┘ a named one, or a refusal
//! ```
//! It never elects: the engine sends a request to the successor, and a majority elects it. It never
//! hands the role to a follower that can't be elected, and records no event: its callers do.

mod candidates;
pub mod messages;

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::id::NodeId;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use self::candidates::Candidate;
pub use self::candidates::Ineligibility;
use crate::{
    replication::{
        Raft,
        peers::{book::PeerBook, clocks::PeerClocks},
        progress,
    },
    road::Lead,
    state::{AppliedState, LogPosition},
};

/// How long a named follower has to become eligible.
const ELIGIBLE_WITHIN: Duration = Duration::from_secs(3);
/// How often it's checked meanwhile: heartbeat replies raise no event, so poll.
const ELIGIBILITY_POLL: Duration = Duration::from_millis(5);
/// How long the successor has to commit its first entry, and again as long to announce itself.
pub const COMMIT_WITHIN: Duration = Duration::from_secs(5);
/// How long a node that is stopping waits for another primary.
const LEAD_WITHIN: Duration = Duration::from_secs(3);
/// How long a successor may take before the handover counts as failed: after that the old primary
/// must fall silent, because the engine accepts no more commands in this term once it has sent its
/// request.
const TAKEOVER_WITHIN: Duration = Duration::from_secs(2);

/// Passes the primary role from this node to a follower. Clones share everything.
#[derive(Clone)]
pub struct Handover {
    pub raft: Raft,
    pub journal: Journal,
    pub state: Arc<AppliedState>,
    pub book: Arc<PeerBook>,
    pub clocks: Arc<PeerClocks>,
    pub lead: watch::Receiver<Lead>,
}

/// The follower that is to take over, and the term that ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    pub node: NodeId,
    pub term: u64,
}

/// Why a handover to a named node is refused; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverRefusal {
    /// This node isn't the primary; the node that is, if known.
    NotPrimary(Option<NodeId>),
    /// The named node is this one.
    AlreadyPrimary,
    Ineligible(Ineligibility),
}

/// How a handover failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverFailure {
    /// The engine has stopped, and why; nothing was done.
    #[error("{0}")]
    EngineStopped(String),
    /// It may do so later.
    #[error("the successor hasn't committed within {} s", COMMIT_WITHIN.as_secs())]
    NotCommitted,
    #[error("term {term} has begun, and the successor isn't its primary")]
    OtherPrimary { term: u64 },
}

/// A completed handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The successor's term.
    pub term: u64,
    /// From the last entry applied in the old term to the first one in the new term.
    pub pause: Duration,
}

impl Handover {
    /// Whether this node is the primary and a majority answers it.
    pub fn is_primary(&self) -> bool {
        matches!(*self.lead.borrow(), Lead::Here(_))
    }

    /// The best follower: of those that answered within the last second, have room on their disks
    /// and can be elected, the one with the newest durable position. `None`: there is none, or this
    /// node doesn't lead.
    pub fn choose(&self, now: Instant) -> Option<Successor> {
        self.choose_from(now, |_| true)
    }

    /// The best follower of those whose clocks agree with a majority's.
    pub fn choose_by_clock(&self, now: Instant) -> Option<Successor> {
        self.choose_from(now, |node| self.clocks.is_correct(node, now))
    }

    fn choose_from(&self, now: Instant, fits: impl Fn(NodeId) -> bool) -> Option<Successor> {
        let term = progress::led_term(&self.raft)?;
        let followers = progress::read_status(&self.raft).followers;
        let candidates: Vec<_> = followers
            .into_iter()
            .filter(|follower| fits(follower.node))
            .map(|follower| self.candidate(follower.node, follower.matched))
            .collect();
        let node = candidates::choose(&candidates, now)?;
        Some(Successor { node, term })
    }

    /// Checks that a named node may take over. A follower that was just started has a moment to
    /// become eligible: it must answer, and reach the position that this primary has at the
    /// beginning.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn check(&self, to: NodeId) -> Result<Successor, HandoverRefusal> {
        let seen = progress::read_status(&self.raft);
        if !seen.is_primary {
            return Err(HandoverRefusal::NotPrimary(seen.primary));
        }
        if to == *self.raft.node_id() {
            return Err(HandoverRefusal::AlreadyPrimary);
        }
        if self.clocks.wrong_by(to).is_some() {
            return Err(HandoverRefusal::Ineligible(Ineligibility::WrongClock));
        }
        self.wait_until_eligible(to).await.map_err(HandoverRefusal::Ineligible)?;
        Ok(Successor { node: to, term: seen.term })
    }

    async fn wait_until_eligible(&self, to: NodeId) -> Result<(), Ineligibility> {
        let (since, goal) = (Instant::now(), self.journal.newest_tip().map(|tip| tip.position));
        loop {
            let followers = progress::read_status(&self.raft).followers;
            let follower = followers.iter().find(|follower| follower.node == to);
            let candidate = self.candidate(to, follower.and_then(|follower| follower.matched));
            let Err(why) = candidate.judge(|at| at >= since, goal) else { return Ok(()) };
            if since.elapsed() > ELIGIBLE_WITHIN {
                return Err(why);
            }
            sleep(ELIGIBILITY_POLL).await;
        }
    }

    fn candidate(&self, node: NodeId, matched: Option<u64>) -> Candidate {
        Candidate { node, matched, report: self.book.last_report(node) }
    }

    /// Begins the handover. From here on the engine accepts no more commands in this term.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn begin(&self, successor: Successor) -> Result<PendingHandover, HandoverFailure> {
        let (applied, since) = (self.state.watch_applied(), Instant::now());
        request_transfer(&self.raft, successor.node)
            .await
            .map_err(HandoverFailure::EngineStopped)?;
        let (raft, lead) = (self.raft.clone(), self.lead.clone());
        Ok(PendingHandover { successor, raft, lead, applied, since })
    }
}

/// Has the engine ask a follower to take over; the follower does so once it has every record. The
/// engine reports no result.
///
/// # Errors
/// When the engine has stopped.
pub async fn request_transfer(raft: &Raft, to: NodeId) -> Result<(), String> {
    raft.trigger().transfer_leader(to).await.map_err(|error| error.to_string())
}

/// A handover that the engine has begun.
pub struct PendingHandover {
    successor: Successor,
    raft: Raft,
    lead: watch::Receiver<Lead>,
    /// Subscribed before the request was sent.
    applied: watch::Receiver<Option<LogPosition>>,
    since: Instant,
}

impl PendingHandover {
    pub fn successor(&self) -> Successor {
        self.successor
    }

    /// Waits until this node has applied the successor's first entry and follows it.
    ///
    /// # Errors
    /// When the successor doesn't commit in time, or another node leads.
    pub async fn wait_for_commit(mut self) -> Result<Takeover, HandoverFailure> {
        let done = timeout(COMMIT_WITHIN, self.first_of_new_term()).await;
        let Ok(Some(takeover)) = done else { return Err(HandoverFailure::NotCommitted) };
        if !self.leads_successor().await {
            return Err(HandoverFailure::OtherPrimary { term: takeover.term });
        }
        Ok(takeover)
    }

    async fn first_of_new_term(&mut self) -> Option<Takeover> {
        let mut last_of_old = self.since;
        loop {
            self.applied.changed().await.ok()?;
            let at = Instant::now();
            match *self.applied.borrow_and_update() {
                Some(LogPosition { term, .. }) if term > self.successor.term => {
                    let pause = at.saturating_duration_since(last_of_old);
                    return Some(Takeover { term, pause });
                }
                _ => last_of_old = at,
            }
        }
    }

    /// Whether the successor leads, once any node leads a term other than the one that ends.
    async fn leads_successor(&mut self) -> bool {
        let Successor { node, term } = self.successor;
        let settled =
            self.lead.wait_for(|lead| *lead != Lead::Nowhere && *lead != Lead::Here(term));
        let lead = timeout(COMMIT_WITHIN, settled).await;
        matches!(lead, Ok(Ok(lead)) if *lead == Lead::There(node))
    }

    /// Waits until this node follows another primary. `false`: it doesn't within 3 s.
    pub async fn wait_for_primary(mut self) -> bool {
        let followed = self.lead.wait_for(|lead| matches!(lead, Lead::There(_)));
        matches!(timeout(LEAD_WITHIN, followed).await, Ok(Ok(_)))
    }

    /// Whether this node still leads the term 2 s later.
    pub async fn is_overdue(self) -> bool {
        sleep(TAKEOVER_WITHIN).await;
        progress::led_term(&self.raft) == Some(self.successor.term)
    }
}
