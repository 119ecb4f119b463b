//! What this node knows of its peers, and whether it may talk to them: shared by everything that sends and receives.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::{
    id::NodeId,
    peer::{Admittance, AppendReply},
};
use openraft::async_runtime::Instant as _;
use tokio::time::Instant;

use super::{
    mute_gate::{GateTimes, MuteGate},
    transport::PeerTransport,
};
use crate::clock::Clock;
use crate::replication::{
    Raft,
    empty_copy::{
        admittance::{Admittances, CopyStanding},
        status::EmptyCopy,
        votes::Votes,
    },
    engine::types::{LogId, term_of},
    progress,
};

/// The times of a profile that sending needs.
#[derive(Clone, Copy, Debug)]
pub struct PeerTimes {
    /// The mute gate's.
    pub gate: GateTimes,
    /// How long an append may stay unanswered.
    pub append_reply: Duration,
    /// How long to wait before trying again.
    pub redial: Duration,
}

/// What a peer last let us know.
#[derive(Clone, Copy, Debug)]
pub struct PeerReport {
    /// When it answered.
    pub at: Instant,
    /// Its clock less ours, microseconds.
    pub clock_offset: i64,
    /// Whether its disk has no room for its next segment.
    pub disk_full: bool,
    /// Whether it began empty and hasn't caught up.
    pub joining: bool,
}

/// One node's view of the others.
pub struct Peers {
    transport: Arc<dyn PeerTransport>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    times: PeerTimes,
    empty_copy: Arc<EmptyCopy>,
    votes: Votes,
    /// The cluster has one site: it's a majority by itself.
    is_alone: bool,
    raft: OnceLock<Raft>,
    state: Mutex<PeersState>,
    /// Asked for every command.
    full_disks: AtomicUsize,
}

#[derive(Default)]
struct PeersState {
    gate: MuteGate,
    /// The term that this node leads, and since when.
    leading: Option<(u64, Instant)>,
    reports: BTreeMap<NodeId, PeerReport>,
    /// A primary that was to be relieved and wasn't: until then it says nothing, so that the others elect.
    silent_until: Option<Instant>,
    admittances: Admittances,
}

impl Peers {
    pub fn new(
        transport: Arc<dyn PeerTransport>,
        journal: Journal,
        clock: Arc<dyn Clock>,
        times: PeerTimes,
        empty_copy: Arc<EmptyCopy>,
        others: Vec<NodeId>,
    ) -> Self {
        let is_alone = others.is_empty();
        let (state, votes) = (Mutex::default(), Votes::new(others));
        let full_disks = AtomicUsize::new(0);
        let raft = OnceLock::new();
        Self {
            transport,
            journal,
            clock,
            times,
            empty_copy,
            votes,
            is_alone,
            raft,
            state,
            full_disks,
        }
    }

    /// Lets the gate see the engine; before that nothing is held back.
    pub fn attach(&self, raft: Raft) {
        assert!(self.raft.set(raft).is_ok(), "the engine is attached once");
    }

    pub fn transport(&self) -> &Arc<dyn PeerTransport> {
        &self.transport
    }

    pub fn times(&self) -> &PeerTimes {
        &self.times
    }

    /// What kind of copy this node has.
    pub fn empty_copy(&self) -> &EmptyCopy {
        &self.empty_copy
    }

    /// What the others answered to this node's candidacies.
    pub fn votes(&self) -> &Votes {
        &self.votes
    }

    /// When a majority last answered this primary; `None` while it isn't one, and before that has happened: of a node that has just
    /// restarted the engine says that it leads its old term, by the vote that it read from the disk.
    pub fn majority_answered(&self, now: Instant) -> Option<Instant> {
        let leader = self.raft.get()?.as_leader().ok()?;
        if self.is_alone {
            return Some(now);
        }
        leader.last_quorum_acked().and_then(|at| now.checked_sub(at.elapsed()))
    }

    /// When a majority last answered this primary, or when it became one; `None` while it isn't.
    pub fn majority_heard(&self, now: Instant) -> Option<Instant> {
        let leader = self.raft.get()?.as_leader().ok()?;
        let mut state = self.state();
        let since = match state.leading {
            Some((term, since)) if term == leader.term() => since,
            _ => {
                state.leading = Some((leader.term(), now));
                now
            }
        };
        drop(state);
        Some(self.majority_answered(now).map_or(since, |at| at.max(since)))
    }

    /// Whether a majority answered this primary within its lease: until then nobody else can have been elected.
    pub fn is_answered(&self, now: Instant) -> bool {
        let answered = self.majority_answered(now);
        answered.is_some_and(|at| now.saturating_duration_since(at) <= self.times.gate.lease)
    }

    /// Says nothing for as long as the others need to elect somebody. Votes aren't held back.
    pub fn fall_silent(&self, now: Instant) {
        self.state().silent_until = Some(now + self.times.gate.mute);
    }

    /// Whether this node keeps silent because it can't do a primary's work.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.state().silent_until.is_some_and(|until| now < until)
    }

    /// Whether this node may send appends and heartbeats now.
    pub fn may_send(&self, now: Instant) -> bool {
        if self.is_silent(now) {
            return false;
        }
        match self.majority_heard(now) {
            Some(acknowledged) => self.state().gate.may_send(now, acknowledged, &self.times.gate),
            None => true,
        }
    }

    /// Notes an answer.
    pub fn record_answer(&self, from: NodeId, reply: &AppendReply) {
        let ours = i128::from(self.clock.wall_micros());
        let offset = i128::from(reply.clock) - ours;
        let clock_offset =
            i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX });
        let AppendReply { disk_full, joining, .. } = *reply;
        let mut state = self.state();
        let at = Instant::now();
        state.reports.insert(from, PeerReport { at, clock_offset, disk_full, joining });
        let full = state.reports.values().filter(|heard| heard.disk_full).count();
        self.full_disks.store(full, Ordering::Relaxed);
    }

    /// A copy that began empty took nothing: it waits for a welcome.
    pub fn record_empty_copy(&self, from: NodeId, copy: u64) {
        let Some(term) = self.led_term() else { return };
        if self.state().admittances.record_copy(term, from, copy, Instant::now()) {
            tracing::warn!(
                peer = from,
                "a site's copy began empty: it counts for nothing until it has caught up"
            );
        }
    }

    /// The word for a copy that began empty, if a primary of this term may give it.
    pub fn admittance_for(&self, term: u64, to: NodeId) -> Option<Admittance> {
        self.state().admittances.admittance_of(term, to)
    }

    /// Welcomes the copies that may be; gives the sites that only another primary can fill, because their lost copies
    /// acknowledged something to this one.
    pub fn admit_copies(&self) -> Vec<NodeId> {
        let Some(raft) = self.raft.get() else { return Vec::new() };
        let Ok(leader) = raft.as_leader() else { return Vec::new() };
        let (term, now) = (leader.term(), Instant::now());
        if self.state().admittances.waiting(term).is_empty() {
            return Vec::new();
        }
        let confirmed = self.majority_answered(now);
        let followers = progress::read_status(raft).followers;
        let acknowledged = |node| {
            let follower = followers.iter().find(|follower| follower.node == node);
            follower.is_some_and(|follower| follower.matched.is_some())
        };
        let mut state = self.state();
        state.admittances.admit_eligible(term, |node, copy| CopyStanding {
            confirmed,
            acknowledged: acknowledged(node),
            founder: self.empty_copy.is_founder(node, copy),
        });
        let mut waiting = state.admittances.waiting(term);
        waiting.retain(|node| acknowledged(*node));
        waiting
    }

    /// The term that this node leads.
    pub fn led_term(&self) -> Option<u64> {
        progress::led_term(self.raft.get()?)
    }

    /// What was last heard of a peer.
    pub fn last_report(&self, from: NodeId) -> Option<PeerReport> {
        self.state().reports.get(&from).copied()
    }

    /// How many peers have a clock within `tolerance` of ours, judged by answers not older than `age`.
    pub fn clocks_agreeing(&self, now: Instant, tolerance: Duration, age: Duration) -> usize {
        let micros = u64::try_from(tolerance.as_micros()).unwrap_or(u64::MAX);
        let state = self.state();
        state
            .reports
            .values()
            .filter(|heard| {
                now.saturating_duration_since(heard.at) <= age
                    && heard.clock_offset.unsigned_abs() <= micros
            })
            .count()
    }

    /// How many peers said in their last answer that their disk is full. One that has stopped for it counts still.
    pub fn full_disks(&self) -> usize {
        self.full_disks.load(Ordering::Relaxed)
    }

    /// The link of a record that this node holds; `None` when it holds another or none.
    pub fn link_at(&self, id: &LogId) -> io::Result<Option<[u8; 32]>> {
        let tip = self.journal.tip_at(id.index())?;
        Ok(tip.filter(|tip| tip.term == term_of(id)).map(|tip| tip.link.0))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PeersState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
