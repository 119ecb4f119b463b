//! What the engine says to its peers, as frames on lanes. A lane that has fallen out of step is given up, never resynchronised.

mod appends;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    frame::{self, Frame},
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
use tokio::time::timeout;

use super::{book::Peers, transport::LaneEnds};
use crate::replication::{
    empty_copy::votes::Poll,
    engine::types::{
        EngineNode, EngineTypes, Vote, log_id_from_wire, log_id_to_wire, vote_from_wire,
        vote_to_wire,
    },
    leadership::handover::messages,
};

type RpcResult<T> = Result<T, RPCError<EngineTypes>>;

/// Makes the engine's clients, one per peer and purpose.
pub struct Network {
    peers: Arc<Peers>,
}

impl Network {
    pub fn new(peers: Arc<Peers>) -> Self {
        Self { peers }
    }

    fn client(&self, to: NodeId, lane: Lane) -> PeerClient {
        PeerClient::new(self.peers.clone(), to, lane)
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

/// Talks to one peer. Appends go over its own lane; everything small goes over a control lane.
pub struct PeerClient {
    peers: Arc<Peers>,
    to: NodeId,
    lane: Lane,
    /// Kept only while in step: taken out for every exchange and put back when the last reply has come.
    ends: Option<LaneEnds>,
}

fn unreachable(why: impl std::error::Error + 'static) -> RPCError<EngineTypes> {
    RPCError::Unreachable(Unreachable::new(&why))
}

fn protocol_error(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

impl PeerClient {
    pub fn new(peers: Arc<Peers>, to: NodeId, lane: Lane) -> Self {
        Self { peers, to, lane, ends: None }
    }

    async fn take_lane(&mut self, lane: Lane, patience: Duration) -> io::Result<LaneEnds> {
        if let Some(ends) = self.ends.take() {
            return Ok(ends);
        }
        timeout(patience, self.peers.transport().open(self.to, lane))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no lane in time"))?
    }

    /// One question and its answer on a control lane.
    pub(crate) async fn request_reply(
        &mut self,
        question: Vec<u8>,
        answer: u8,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let exchange = async {
            let mut ends = match self.lane {
                Lane::Control => self.take_lane(Lane::Control, patience).await?,
                _ => self.peers.transport().open(self.to, Lane::Control).await?,
            };
            ends.out.send(question.into()).await?;
            let reply = expect(ends.inbound.receive().await?, answer)?;
            if self.lane == Lane::Control {
                self.ends = Some(ends);
            }
            Ok(reply)
        };
        timeout(patience, exchange)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))?
    }
}

fn expect(frame: Option<Frame>, kind: u8) -> io::Result<Bytes> {
    match frame {
        Some(frame) if frame.kind == kind => Ok(frame.body),
        Some(frame) => {
            Err(protocol_error(&format!("a frame of type {}, expected {kind}", frame.kind)))
        }
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the lane")),
    }
}

fn decode<T: codec::WireDecode>(body: &[u8]) -> io::Result<T> {
    codec::decode(body).map_err(io::Error::other)
}

impl NetBackoff<EngineTypes> for PeerClient {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.peers.times().redial)))
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
        let joining = self.peers.empty_copy().is_joining();
        let question = peer::VoteRequest {
            pre_vote,
            vote,
            last: rpc.last_log_id.as_ref().map(log_id_to_wire),
            is_handover: rpc.leadership_transfer,
            joining,
        };
        let question = frame::encode_whole(peer::VOTE, &question);
        let body = self
            .request_reply(question, peer::VOTED, option.hard_ttl())
            .await
            .map_err(unreachable)?;
        let mut reply: peer::VoteReply = decode(&body).map_err(unreachable)?;
        let poll = Poll { term: vote.term, pre_vote };
        self.peers.votes().record_reply(poll, self.to, &reply);
        if reply.granted && !self.vote_counts(poll, joining, reply.joining).await {
            reply.granted = false;
            reply.vote = peer::PeerVote { term: 0, node: 0, committed: false };
        }
        let last = reply.last.map(log_id_from_wire);
        Ok(VoteResponse::new(vote_from_wire(reply.vote), last, reply.granted))
    }

    /// Whether a vote that was given counts. Where everybody began empty it does when the last one has given theirs; the
    /// engine's own patience ends the wait.
    async fn vote_counts(&self, poll: Poll, joining: bool, voter: Option<u64>) -> bool {
        match (joining, voter) {
            (false, None) => true,
            (false, Some(copy)) => self.peers.empty_copy().is_founder(self.to, copy),
            (true, None) => false,
            (true, Some(_)) => {
                self.peers.votes().wait_for_founders(poll).await;
                true
            }
        }
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
            .request_reply(question, peer::TRANSFERRED, option.hard_ttl())
            .await
            .map_err(unreachable)?;
        Ok(messages::reply_from_wire(decode(&body).map_err(unreachable)?))
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
        // The journal is kept whole, so nobody ever needs one.
        let why = io::Error::other("there are no snapshots: a peer reads on from the journal");
        Err(StreamingError::Unreachable(Unreachable::new(&why)))
    }
}
