//! What this node remembers of every member, what it thinks of its own copy, and the incidents that
//! every site must report. It never talks to a peer.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel_storage::{
    journal::{Journal, Poisoned},
    memory::{CopyMemory, Life, MemberMemory},
};
use evenkeel_wire::{
    id::NodeId,
    introduction::{CopyStanding, Incident, IncidentKind, MemberHad, PeerLife, Remembered},
    peer::PeerLogId,
    transfer::Text,
};
use tokio::{sync::oneshot, time::Instant};

use super::{judge::OwnRecords, twins::ProcessLinks};
use crate::{
    limits::INCIDENTS_KEPT_MAX,
    replication::{
        empty_copy::EmptyCopies,
        peers::{majority::Majority, mute_gate::MuteGate},
    },
    state::{AppliedState, freshness::Freshness},
};

/// What the memory needs of the node.
pub struct MemoryParts {
    pub node: NodeId,
    pub others: Vec<NodeId>,
    /// The names of the members' sites.
    pub sites: BTreeMap<NodeId, String>,
    pub journal: Journal,
    pub majority: Arc<Majority>,
    pub gate: Arc<MuteGate>,
    pub empty_copies: Arc<EmptyCopies>,
    pub freshness: Arc<Freshness>,
    pub state: Arc<AppliedState>,
}

/// What this node remembers.
pub struct PeerMemory {
    pub(super) parts: MemoryParts,
    started: Instant,
    pub(super) ending: AtomicBool,
    state: Mutex<MemoryState>,
}

pub(super) struct MemoryState {
    pub(super) own: Life,
    pub(super) members: BTreeMap<NodeId, MemberMemory>,
    pub(super) processes: ProcessLinks,
    incidents: VecDeque<Incident>,
    /// When each peer last told what its copy is.
    pub(super) heard: BTreeMap<NodeId, (Instant, CopyStanding)>,
    unsaved: bool,
}

/// A peer that was silent for longer isn't reachable.
pub(super) const REACHABLE_WITHIN: Duration = Duration::from_secs(3);

impl PeerMemory {
    /// Begins a life: its start number and nonce are on disk before this returns.
    ///
    /// # Errors
    /// When they can't be written.
    pub async fn start(
        parts: MemoryParts,
        stored: &CopyMemory,
        nonce: u64,
    ) -> io::Result<Arc<Self>> {
        let start = stored.own.map_or(0, |life| life.start) + 1;
        let members = parts.others.iter().copied().chain([parts.node]);
        let known = |node| stored.members.iter().find(|member| member.node == node).copied();
        let blank = |node| MemberMemory { node, life: None, had: None };
        let state = MemoryState {
            own: Life { start, nonce },
            members: members.map(|node| (node, known(node).unwrap_or(blank(node)))).collect(),
            processes: ProcessLinks::default(),
            incidents: VecDeque::new(),
            heard: BTreeMap::new(),
            unsaved: false,
        };
        let memory = Arc::new(Self {
            parts,
            started: Instant::now(),
            ending: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        memory.save().await?;
        Ok(memory)
    }

    /// Whether this node is part of a majority: it has lately had everything that was committed.
    pub(super) fn is_settled(&self) -> bool {
        let age = self.parts.freshness.age(Instant::now(), self.parts.state.position());
        age.is_some_and(|age| age <= REACHABLE_WITHIN)
    }

    /// Whether this process only tells the others why it ends.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Whether this process has had no time yet to find a majority.
    pub(super) fn is_young(&self) -> bool {
        self.started.elapsed() < REACHABLE_WITHIN
    }

    /// This life, as peers are told of it.
    pub(super) fn own_life(&self) -> PeerLife {
        life_to_wire(self.lock_state().own)
    }

    /// What this node knows of a peer.
    pub(super) fn remembered_of(&self, peer: NodeId) -> io::Result<Remembered> {
        let member = self.lock_state().members.get(&peer).copied();
        let had = |(term, position)| PeerLogId { term, position };
        let counted_on = match (self.parts.majority.led_term(), self.matched(peer)) {
            (Some(term), Some(position)) => self.log_id_at(position)?.map(|id| (term, id)),
            _ => None,
        };
        Ok(Remembered {
            life: member.and_then(|member| member.life).map(life_to_wire),
            had: member.and_then(|member| member.had).map(had),
            counted_on,
        })
    }

    fn matched(&self, peer: NodeId) -> Option<u64> {
        let followers = self.parts.majority.followers();
        followers.into_iter().find(|follower| follower.node == peer)?.matched
    }

    fn log_id_at(&self, position: u64) -> io::Result<Option<PeerLogId>> {
        let tip = self.parts.journal.tip_at(position)?;
        Ok(tip.map(|tip| PeerLogId { term: tip.term, position }))
    }

    pub(super) fn own_records(&self) -> OwnRecords<'_> {
        let vote_term = self.parts.majority.vote_term();
        OwnRecords { journal: &self.parts.journal, vote_term }
    }

    /// Remembers a life of a peer's copy that counts. Durable on return. `false`: a later one is
    /// remembered. An uncounted copy promises nothing: the disk that it stands in for may yet be
    /// put back.
    pub(super) async fn remember_life(
        &self,
        peer: NodeId,
        life: PeerLife,
        standing: CopyStanding,
    ) -> io::Result<bool> {
        if standing != CopyStanding::Counts {
            return Ok(true);
        }
        {
            let mut state = self.lock_state();
            let Some(member) = state.members.get_mut(&peer) else { return Ok(false) };
            match member.life {
                Some(known) if known.nonce == life.nonce && known.start >= life.start => {
                    return Ok(true);
                }
                Some(known) if known.nonce != life.nonce && known.start >= life.start => {
                    return Ok(false);
                }
                _ => member.life = Some(Life { start: life.start, nonce: life.nonce }),
            }
        }
        self.save().await?;
        Ok(true)
    }

    /// Remembers what members had, by a primary's word.
    pub(super) fn remember_had(&self, had: &[MemberHad]) {
        let mut state = self.lock_state();
        for MemberHad { node, had } in had {
            let Some(member) = state.members.get_mut(node) else { continue };
            let newer = Some((had.term, had.position));
            if newer > member.had {
                member.had = newer;
                state.unsaved = true;
            }
        }
    }

    /// What every member has of what's committed, if this node leads: its term and the list.
    pub(super) fn compute_had(&self) -> io::Result<Option<(u64, Vec<MemberHad>)>> {
        let Some(term) = self.parts.majority.led_term() else { return Ok(None) };
        let journal = &self.parts.journal;
        let committed = journal.committed_position();
        let mut had = Vec::new();
        let own = (self.parts.node, journal.durable_position());
        let followers = self.parts.majority.followers();
        let matched = followers.iter().map(|follower| (follower.node, follower.matched));
        for (node, acknowledged) in matched.chain([own]) {
            if let Some(position) = acknowledged.min(committed)
                && let Some(id) = self.log_id_at(position)?
            {
                had.push(MemberHad { node, had: id });
            }
        }
        Ok(Some((term, had)))
    }

    /// Logs an incident and passes it on, unless it's known.
    pub(super) fn report(&self, incident: Incident) {
        {
            let mut state = self.lock_state();
            let same = |known: &Incident| {
                (known.number, known.kind, known.node)
                    == (incident.number, incident.kind, incident.node)
            };
            if state.incidents.iter().any(same) {
                return;
            }
            if state.incidents.len() >= INCIDENTS_KEPT_MAX {
                state.incidents.pop_front();
            }
            state.incidents.push_back(incident.clone());
        }
        let kind = match incident.kind {
            IncidentKind::RolledBack => "rolled_back",
            IncidentKind::Twin => "twin",
            IncidentKind::HistoryDiffers => "history_differs",
        };
        tracing::error!(kind, node = incident.node, "{}", incident.what);
    }

    /// The incidents that this node knows.
    pub(super) fn incidents(&self) -> Vec<Incident> {
        self.lock_state().incidents.iter().cloned().collect()
    }

    /// A peer told what its copy is.
    pub(super) fn hear_standing(&self, peer: NodeId, standing: CopyStanding) {
        self.lock_state().heard.insert(peer, (Instant::now(), standing));
    }

    /// A site's name.
    pub(super) fn site(&self, node: NodeId) -> String {
        self.parts.sites.get(&node).cloned().unwrap_or_else(|| format!("node {node}"))
    }

    /// Writes down what changed, without waiting and without a sync.
    pub(super) fn save_lazily(&self) {
        let memory = {
            let mut state = self.lock_state();
            if !std::mem::take(&mut state.unsaved) {
                return;
            }
            state.to_storage()
        };
        // A poisoned journal ends the node by itself.
        let _poisoned = self.parts.journal.save_memory(memory, false, Box::new(|_| ()));
    }

    /// Writes what is remembered; durable on return.
    pub(super) async fn save(&self) -> io::Result<()> {
        let memory = self.lock_state().to_storage();
        let (done, durable) = oneshot::channel::<Result<(), Poisoned>>();
        let completion = Box::new(move |result| {
            let _receiver_gone = done.send(result);
        });
        self.parts.journal.save_memory(memory, true, completion).map_err(io::Error::other)?;
        durable
            .await
            .map_err(|_| io::Error::other("the journal's writer is gone"))?
            .map_err(io::Error::other)
    }

    pub(super) fn lock_state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryState {
    fn to_storage(&self) -> CopyMemory {
        CopyMemory { own: Some(self.own), members: self.members.values().copied().collect() }
    }
}

fn life_to_wire(life: Life) -> PeerLife {
    PeerLife { start: life.start, nonce: life.nonce }
}

/// As much of a text as a message holds.
pub(super) fn text<const MAX: usize>(whole: &str) -> Text<MAX> {
    let mut end = whole.len().min(MAX);
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    Text::new(&whole[..end]).expect("cut to its size")
}
