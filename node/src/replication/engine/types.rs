//! The engine's types in terms of ours: an entry's contents, and the translation of votes and
//! records to and from the wire and the journal.

#[cfg(test)]
pub(crate) use openraft::{RaftLogReader, storage::RaftStateMachine};
use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::history::record_kind;
use bytes::Bytes;
use evenkeel_storage as storage;
use evenkeel_wire::{codec, peer};
use openraft::{EntryPayload, Membership, impls::leader_id_std, vote::RaftLeaderId};

/// The engine's data of a node: none. Addresses are in each node's own node.toml.
pub type EngineNode = openraft::impls::EmptyNode;

/// One journal entry's commands, as the engine carries them.
#[derive(Clone)]
pub struct CommandBatch {
    /// When the primary made the entry, microseconds since the Unix epoch.
    pub time: u64,
    /// The bytes that are hashed, stored and sent.
    pub body: Bytes,
    /// The link of the entry before this one, according to the sender. Only on a follower, for the
    /// first entry of a message.
    pub expected_link: Option<[u8; 32]>,
}

impl fmt::Debug for CommandBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.body.len())
    }
}

impl fmt::Display for CommandBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

use crate::road::DecidedEntry;

#[cfg(not(evenkeel_simulation))]
type EngineRuntime = openraft::impls::TokioRuntime;
#[cfg(evenkeel_simulation)]
type EngineRuntime =
    openraft_rt::deterministic_rng::DeterministicRng<openraft::impls::TokioRuntime>;

/// The one configuration of the engine that evenkeel uses: one primary a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineTypes;

impl openraft::RaftTypeConfig for EngineTypes {
    type D = CommandBatch;
    type R = Option<Arc<DecidedEntry>>;
    type NodeId = u64;
    type Node = EngineNode;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = EntryPayload<CommandBatch, u64, EngineNode>;
    type Entry = openraft::Entry<
        <Self::LeaderId as RaftLeaderId>::Committed,
        EntryPayload<CommandBatch, u64, EngineNode>,
    >;
    type AsyncRuntime = EngineRuntime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub type LogId = openraft::type_config::alias::LogIdOf<EngineTypes>;
pub type Vote = openraft::type_config::alias::VoteOf<EngineTypes>;
pub type EngineEntry = openraft::type_config::alias::EntryOf<EngineTypes>;
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<EngineTypes>;
pub type EngineMembership = Membership<u64, EngineNode>;

pub fn log_id(term: u64, position: u64) -> LogId {
    LogId::new(leader_id_std::LeaderId::new(term, 0).to_committed(), position)
}

pub fn term_of(id: &LogId) -> u64 {
    **id.committed_leader_id()
}

pub fn log_id_to_wire(id: &LogId) -> peer::PeerLogId {
    peer::PeerLogId { term: term_of(id), position: id.index() }
}

pub fn log_id_from_wire(id: peer::PeerLogId) -> LogId {
    log_id(id.term, id.position)
}

pub fn vote_to_wire(vote: &Vote) -> peer::PeerVote {
    peer::PeerVote {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub fn vote_from_wire(vote: peer::PeerVote) -> Vote {
    Vote {
        leader_id: leader_id_std::LeaderId { term: vote.term, voted_for: vote.node },
        committed: vote.committed,
    }
}

pub fn vote_to_storage(vote: &Vote) -> storage::vote::StoredVote {
    storage::vote::StoredVote {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub fn vote_from_storage(vote: storage::vote::StoredVote) -> Vote {
    vote_from_wire(peer::PeerVote { term: vote.term, node: vote.node, committed: vote.committed })
}

/// The parts of an entry that the journal and the wire hold: time, kind and payload.
pub fn entry_parts(entry: &EngineEntry) -> (u64, u8, Bytes) {
    match &entry.payload {
        EntryPayload::Blank => (0, record_kind::BLANK, Bytes::new()),
        EntryPayload::Normal(batch) => (batch.time, record_kind::COMMANDS, batch.body.clone()),
        EntryPayload::Membership(members) => {
            (0, record_kind::MEMBERSHIP, encode_membership(members))
        }
    }
}

/// Why a record can't be made an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("the record at position {position} is of the unknown kind {kind}")]
    Kind { position: u64, kind: u8 },
    #[error("the membership at position {position} can't be read: {why}")]
    Membership { position: u64, why: String },
}

/// The entry of a record or of a peer's message.
pub fn entry_from_parts(
    id: LogId,
    time: u64,
    record_kind: u8,
    payload: Bytes,
    expected_link: Option<[u8; 32]>,
) -> Result<EngineEntry, EntryError> {
    let payload = match record_kind {
        record_kind::BLANK => EntryPayload::Blank,
        record_kind::COMMANDS => {
            EntryPayload::Normal(CommandBatch { time, body: payload, expected_link })
        }
        record_kind::MEMBERSHIP => EntryPayload::Membership(
            decode_membership(&payload)
                .map_err(|why| EntryError::Membership { position: id.index(), why })?,
        ),
        kind => return Err(EntryError::Kind { position: id.index(), kind }),
    };
    Ok(EngineEntry { log_id: id, payload })
}

/// As the journal holds it: voters as configurations (two during a change), then all nodes.
type MembershipOnDisk = (Vec<Vec<u64>>, Vec<u64>);

/// The membership in a record's payload.
pub fn membership_from_payload(id: LogId, payload: &[u8]) -> Option<StoredMembership> {
    decode_membership(payload).ok().map(|members| StoredMembership::new(Some(id), members))
}

/// The payload of a membership record.
pub fn encode_membership(members: &EngineMembership) -> Bytes {
    let configs: Vec<Vec<u64>> =
        members.get_joint_config().iter().map(|config| config.iter().copied().collect()).collect();
    let nodes: Vec<u64> = members.nodes().map(|(id, _)| *id).collect();
    codec::encode::<MembershipOnDisk>(&(configs, nodes)).into()
}

fn decode_membership(bytes: &[u8]) -> Result<EngineMembership, String> {
    let (configs, nodes) =
        codec::decode::<MembershipOnDisk>(bytes).map_err(|error| error.to_string())?;
    let configs: Vec<BTreeSet<u64>> =
        configs.into_iter().map(|config| config.into_iter().collect()).collect();
    let nodes: std::collections::BTreeMap<u64, EngineNode> =
        nodes.into_iter().map(|id| (id, EngineNode::default())).collect();
    Membership::new(configs, nodes).map_err(|error| error.to_string())
}
