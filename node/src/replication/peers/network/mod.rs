//! The engine's messages to its peers, as frames on lanes.
//!
//! It never sends an append or a heartbeat while the mute gate is closed.

mod appends;

use std::{io, sync::Arc, time::Duration};

use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    peer::{self, Lane},
};
use openraft::{
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetTransferLeader, NetVote, RPCOption, RaftNetworkFactory,
    },
    raft::{
        SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};

use super::{
    book::PeerBook,
    clocks::PeerClocks,
    lane_client::LaneClient,
    majority::Majority,
    message_check::{check_handover_reply, check_vote_reply},
    mute_gate::MuteGate,
    transport::PeerTransport,
};
use crate::replication::{
    empty_copy::{EmptyCopies, Poll},
    engine::types::{
        EngineNode, EngineTypes, Vote, log_id_from_wire, log_id_to_wire, vote_from_wire,
        vote_to_wire,
    },
    journal_reads::JournalReads,
    leadership::handover::messages,
    memory::PeerMemory,
};
use crate::telemetry::folded::FoldedLine;

use appends::OwingLane;

type RpcResult<T> = Result<T, RPCError<EngineTypes>>;

/// Everything that sending to peers needs.
pub struct NetworkParts {
    pub transport: Arc<dyn PeerTransport>,
    pub reads: JournalReads,
    pub gate: Arc<MuteGate>,
    pub book: Arc<PeerBook>,
    pub majority: Arc<Majority>,
    pub clocks: Arc<PeerClocks>,
    pub empty_copies: Arc<EmptyCopies>,
    pub memory: Arc<PeerMemory>,
    /// Link mismatches are logged by it.
    pub mismatches: FoldedLine,
    /// How long an append may stay unanswered.
    pub append_reply: Duration,
    /// How long the engine waits before it tries an unreachable peer again.
    pub redial: Duration,
}

/// Makes the engine's clients, one per peer and purpose.
pub struct Network {
    parts: Arc<NetworkParts>,
}

impl Network {
    pub fn new(parts: NetworkParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    fn client(&self, to: NodeId, lane: Lane) -> PeerClient {
        let memory = self.parts.memory.clone();
        let lane = LaneClient::new(self.parts.transport.clone(), to, lane, memory);
        PeerClient { parts: self.parts.clone(), lane, owing: None }
    }
}

impl RaftNetworkFactory<EngineTypes> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, _node: &EngineNode) -> PeerClient {
        self.client(target, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &EngineNode) -> PeerClient {
        self.client(target, Lane::Control)
    }
}

/// The engine's client of one peer. Appends have their own lane; small messages share a control
/// lane.
pub struct PeerClient {
    parts: Arc<NetworkParts>,
    lane: LaneClient,
    /// The lane of a heartbeat whose answer didn't come in time.
    owing: Option<OwingLane>,
}

fn unreachable(why: impl std::error::Error + 'static) -> RPCError<EngineTypes> {
    RPCError::Unreachable(Unreachable::new(&why))
}

fn decode<T: codec::WireDecode>(body: &[u8]) -> io::Result<T> {
    codec::decode(body).map_err(io::Error::other)
}

impl NetBackoff<EngineTypes> for PeerClient {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.parts.redial)))
    }
}

impl NetVote<EngineTypes> for PeerClient {
    async fn vote(
        &mut self,
        rpc: VoteRequest<EngineTypes>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<EngineTypes>> {
        self.request_vote(rpc, false, option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<EngineTypes>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<EngineTypes>> {
        self.request_vote(rpc, true, option).await
    }
}

impl PeerClient {
    async fn request_vote(
        &mut self,
        rpc: VoteRequest<EngineTypes>,
        pre_vote: bool,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<EngineTypes>> {
        let vote = vote_to_wire(&rpc.vote);
        let empty_copies = &self.parts.empty_copies;
        let joining = empty_copies.is_joining();
        let question = peer::VoteRequest {
            pre_vote,
            vote,
            last: rpc.last_log_id.as_ref().map(log_id_to_wire),
            is_handover: rpc.leadership_transfer,
            joining,
        };
        let question = frame::encode_whole(peer::VOTE, &question);
        let body = self
            .lane
            .request_reply(question, peer::VOTED, option.hard_ttl())
            .await
            .map_err(unreachable)?;
        let mut reply: peer::VoteReply = decode(&body).map_err(unreachable)?;
        check_vote_reply(&reply).map_err(unreachable)?;
        let poll = Poll { term: vote.term, pre_vote };
        let voter = self.lane.to();
        empty_copies.record_vote(poll, voter, &reply);
        if reply.granted && !empty_copies.vote_counts(poll, joining, voter, reply.joining).await {
            reply.granted = false;
            reply.vote = peer::PeerVote { term: 0, node: 0, committed: false };
        }
        let last = reply.last.map(log_id_from_wire);
        Ok(VoteResponse::new(vote_from_wire(reply.vote), last, reply.granted))
    }
}

impl NetTransferLeader<EngineTypes> for PeerClient {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<EngineTypes>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<EngineTypes>> {
        let question = messages::request_to_wire(&request);
        let question = frame::encode_whole(peer::TRANSFER, &question);
        let body = self
            .lane
            .request_reply(question, peer::TRANSFERRED, option.hard_ttl())
            .await
            .map_err(unreachable)?;
        let reply = decode(&body).map_err(unreachable)?;
        check_handover_reply(&reply).map_err(unreachable)?;
        Ok(messages::reply_from_wire(reply))
    }
}

impl NetSnapshot<EngineTypes> for PeerClient {
    type SnapshotData = ();

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: SnapshotOf<EngineTypes, ()>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<EngineTypes>, StreamingError<EngineTypes>> {
        // The journal is kept whole, so no peer ever needs one.
        let why = io::Error::other("there are no snapshots: a peer reads on from the journal");
        Err(StreamingError::Unreachable(Unreachable::new(&why)))
    }
}
