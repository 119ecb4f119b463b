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
use evenkeel_wire::{id::NodeId, peer::AppendReply};
use openraft::async_runtime::Instant as _;
use tokio::time::Instant;

use super::{
    Raft,
    gate::{GateTimes, MuteGate},
    transport::PeerTransport,
    types::{LogId, term_of},
};
use crate::clock::Clock;

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
pub struct Heard {
    /// When it answered.
    pub at: Instant,
    /// Its clock less ours, microseconds.
    pub clock_offset: i64,
    /// Whether its disk has no room for its next segment.
    pub disk_full: bool,
}

/// One node's view of the others.
pub struct Peers {
    transport: Arc<dyn PeerTransport>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    times: PeerTimes,
    raft: OnceLock<Raft>,
    state: Mutex<State>,
    /// Asked for every command.
    full_disks: AtomicUsize,
}

#[derive(Default)]
struct State {
    gate: MuteGate,
    /// The term that this node leads, and since when.
    leading: Option<(u64, Instant)>,
    heard: BTreeMap<NodeId, Heard>,
    /// A primary that was to be relieved and wasn't: until then it says nothing, so that the others elect.
    silent_until: Option<Instant>,
}

impl Peers {
    pub fn new(
        transport: Arc<dyn PeerTransport>,
        journal: Journal,
        clock: Arc<dyn Clock>,
        times: PeerTimes,
    ) -> Self {
        let state = Mutex::default();
        let full_disks = AtomicUsize::new(0);
        Self { transport, journal, clock, times, raft: OnceLock::new(), state, full_disks }
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

    /// When a majority last answered this primary; `None` while it isn't one.
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
        let heard = leader.last_quorum_acked().and_then(|at| now.checked_sub(at.elapsed()));
        Some(heard.map_or(since, |at| at.max(since)))
    }

    /// Says nothing for as long as the others need to elect somebody. Votes aren't held back.
    pub fn fall_silent(&self, now: Instant) {
        self.state().silent_until = Some(now + self.times.gate.mute);
    }

    /// Whether this node may send appends and heartbeats now.
    pub fn may_send(&self, now: Instant) -> bool {
        if self.state().silent_until.is_some_and(|until| now < until) {
            return false;
        }
        match self.majority_heard(now) {
            Some(acknowledged) => self.state().gate.may_send(now, acknowledged, &self.times.gate),
            None => true,
        }
    }

    /// Notes an answer.
    pub fn answered(&self, from: NodeId, reply: &AppendReply) {
        let ours = i128::from(self.clock.wall_micros());
        let offset = i128::from(reply.clock) - ours;
        let clock_offset =
            i64::try_from(offset).unwrap_or(if offset < 0 { i64::MIN } else { i64::MAX });
        let disk_full = reply.disk_full;
        let mut state = self.state();
        state.heard.insert(from, Heard { at: Instant::now(), clock_offset, disk_full });
        let full = state.heard.values().filter(|heard| heard.disk_full).count();
        self.full_disks.store(full, Ordering::Relaxed);
    }

    /// What was last heard of a peer.
    pub fn heard(&self, from: NodeId) -> Option<Heard> {
        self.state().heard.get(&from).copied()
    }

    /// How many peers have a clock within `tolerance` of ours, judged by answers not older than `age`.
    pub fn clocks_agreeing(&self, now: Instant, tolerance: Duration, age: Duration) -> usize {
        let micros = u64::try_from(tolerance.as_micros()).unwrap_or(u64::MAX);
        let state = self.state();
        state
            .heard
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

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
