//! What the engine says to its peers, as frames on lanes. A lane that has fallen out of step is given up, never resynchronised.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_wire::{
    codec, frame,
    frame::Frame,
    id::NodeId,
    peer::{self, AppendResult, Lane},
};
use futures_util::{Stream, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use openraft::{
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{
        Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
        RaftNetworkFactory,
    },
    raft::{
        AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
        TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
        VoteResponse,
    },
    type_config::alias::SnapshotOf,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    peers::Peers,
    transport::LaneEnds,
    types::{
        EngineNode, LogId, Types, Vote, entry_parts, log_id_from_wire, log_id_to_wire, term_of,
        vote_from_wire, vote_to_wire,
    },
    votes::Poll,
};
use crate::limits::APPENDS_IN_FLIGHT_MAX;

type Rpc<T> = Result<T, RPCError<Types>>;
type Appended = Rpc<StreamAppendResult<Types>>;

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

impl RaftNetworkFactory<Types> for Network {
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

fn unreachable(why: impl std::error::Error + 'static) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&why))
}

fn broken(why: &str) -> io::Error {
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
    pub(super) async fn ask(
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
        Some(frame) => Err(broken(&format!("a frame of type {}, expected {kind}", frame.kind))),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the lane")),
    }
}

fn decode<T: codec::Message>(body: &[u8]) -> io::Result<T> {
    codec::decode(body).map_err(io::Error::other)
}

impl NetBackoff<Types> for PeerClient {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(self.peers.times().redial)))
    }
}

impl NetVote<Types> for PeerClient {
    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(rpc, false, option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        self.ask_vote(rpc, true, option).await
    }
}

impl PeerClient {
    async fn ask_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        pre_vote: bool,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        let vote = vote_to_wire(&rpc.vote);
        let joining = self.peers.joining().is_joining();
        let question = peer::VoteRequest {
            pre_vote,
            vote,
            last: rpc.last_log_id.as_ref().map(log_id_to_wire),
            leadership_transfer: rpc.leadership_transfer,
            joining,
        };
        let question = frame::whole(peer::VOTE, &question);
        let body = self.ask(question, peer::VOTED, option.hard_ttl()).await.map_err(unreachable)?;
        let mut reply: peer::VoteReply = decode(&body).map_err(unreachable)?;
        let poll = Poll { term: vote.term, pre_vote };
        self.peers.votes().note(poll, self.to, &reply);
        if reply.granted && !self.counts(poll, joining, reply.joining).await {
            reply.granted = false;
            reply.vote = peer::Vote { term: 0, node: 0, committed: false };
        }
        let last = reply.last.map(log_id_from_wire);
        Ok(VoteResponse::new(vote_from_wire(reply.vote), last, reply.granted))
    }

    /// Whether a vote that was given counts. Where everybody began empty it does when the last one has given theirs; the
    /// engine's own patience ends the wait.
    async fn counts(&self, poll: Poll, joining: bool, voter: Option<u64>) -> bool {
        match (joining, voter) {
            (false, None) => true,
            (false, Some(copy)) => self.peers.joining().is_founder(self.to, copy),
            (true, None) => false,
            (true, Some(_)) => {
                self.peers.votes().founding(poll).await;
                true
            }
        }
    }
}

impl NetTransferLeader<Types> for PeerClient {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        let question = peer::TransferLeader {
            from: vote_to_wire(request.from_leader()),
            to: *request.to_node_id(),
            last: request.last_log_id().map(log_id_to_wire),
        };
        let question = frame::whole(peer::TRANSFER, &question);
        let body =
            self.ask(question, peer::TRANSFERRED, option.hard_ttl()).await.map_err(unreachable)?;
        Ok(match decode(&body).map_err(unreachable)? {
            peer::TransferReply::Accepted => Ok(()),
            peer::TransferReply::VoteChanged { expected, actual } => {
                Err(TransferLeaderError::VoteChanged {
                    expected: vote_from_wire(expected),
                    actual: vote_from_wire(actual),
                })
            }
            peer::TransferReply::LogNotFlushed { expected, actual } => {
                Err(TransferLeaderError::LogNotFlushed {
                    expected: expected.map(log_id_from_wire),
                    actual: actual.map(log_id_from_wire),
                })
            }
        })
    }
}

impl NetSnapshot<Types> for PeerClient {
    type SnapshotData = ();

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: SnapshotOf<Types, ()>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        // The journal is kept whole, so nobody ever needs one.
        let why = io::Error::other("there are no snapshots: a peer reads on from the journal");
        Err(StreamingError::Unreachable(Unreachable::new(&why)))
    }
}

impl NetStreamAppend<Types> for PeerClient {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Appended>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let patience = match self.lane {
            Lane::Control => option.hard_ttl(),
            _ => self.peers.times().append_reply,
        };
        Box::pin(async move {
            let session = AppendSession {
                client: self,
                ends: None,
                input,
                ended: false,
                patience,
                sent: VecDeque::new(),
            };
            let replies = stream::unfold(Some(session), |session| async {
                let mut session = session?;
                match session.next().await {
                    None => None,
                    Some(Ok(result)) => {
                        let goes_on = result.is_ok();
                        Some((Ok(result), goes_on.then_some(session)))
                    }
                    Some(Err(error)) => Some((Err(unreachable(error)), None)),
                }
            });
            let replies: BoxStream<'s, Appended> = replies.boxed();
            Ok(replies)
        })
    }
}

/// What was sent and isn't answered yet.
struct Sent {
    last: Option<LogId>,
    at: Instant,
}

/// A run of appends over one lane: many in flight, answered in order.
struct AppendSession<'s, S> {
    client: &'s mut PeerClient,
    ends: Option<LaneEnds>,
    input: S,
    ended: bool,
    patience: Duration,
    sent: VecDeque<Sent>,
}

impl<S> AppendSession<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Option<io::Result<StreamAppendResult<Types>>> {
        loop {
            let Some(oldest) = self.sent.front() else {
                if self.ended {
                    self.client.ends = self.ends.take();
                    return None;
                }
                let request = self.input.next().await;
                if let Err(error) = self.send(request).await {
                    return Some(Err(error));
                }
                continue;
            };
            let deadline = oldest.at + self.patience;
            let ends = self.ends.as_mut().expect("a lane is open while something is unanswered");
            let more = !self.ended && self.sent.len() < APPENDS_IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                reply = ends.inbound.receive() => return Some(reply.and_then(|reply| self.answered(reply))),
                request = self.input.next(), if more => {
                    if let Err(error) = self.send(request).await {
                        return Some(Err(error));
                    }
                }
                () = sleep_until(deadline) => {
                    return Some(Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")));
                }
            }
        }
    }

    async fn send(&mut self, request: Option<AppendEntriesRequest<Types>>) -> io::Result<()> {
        let Some(request) = request else {
            self.ended = true;
            return Ok(());
        };
        let now = Instant::now();
        if !self.client.peers.may_send(now) {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "mute: a majority doesn't answer",
            ));
        }
        let mut ends = match self.ends.take() {
            Some(ends) => ends,
            None => self.client.take_lane(self.client.lane, self.patience).await?,
        };
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let frame = self.client.peers.append_frame(self.client.to, &request)?;
        // Cancelled here, the lane is dropped half-way through a frame: `ends` isn't put back.
        timeout(self.patience, ends.out.send(frame.into()))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the peer takes no more"))??;
        self.ends = Some(ends);
        self.sent.push_back(Sent { last, at: now });
        Ok(())
    }

    fn answered(&mut self, reply: Option<Frame>) -> io::Result<StreamAppendResult<Types>> {
        let body = expect(reply, peer::APPENDED)?;
        let reply: peer::AppendReply = decode(&body)?;
        let sent = self.sent.pop_front().expect("a reply is read only when one is owed");
        self.client.peers.answered(self.client.to, &reply);
        Ok(match reply.result {
            AppendResult::Durable(id) => {
                let id = id.map(log_id_from_wire);
                if id > sent.last {
                    return Err(broken("a peer says that it has more than it was sent"));
                }
                Ok(id)
            }
            AppendResult::Conflict(id) => Err(StreamAppendError::Conflict(log_id_from_wire(id))),
            AppendResult::HigherVote(vote) => {
                Err(StreamAppendError::HigherVote(vote_from_wire(vote)))
            }
            AppendResult::Unwelcome(copy) => {
                self.client.peers.met(self.client.to, copy);
                return Err(broken(
                    "the peer's copy began empty, and this primary hasn't proved itself yet",
                ));
            }
            AppendResult::LinkMismatch(id) => {
                tracing::error!(
                    peer = self.client.to,
                    position = id.position,
                    "a peer's journal and ours differ at a position that both hold: it takes no more; \
                     run `evenkeel verify` on both"
                );
                return Err(broken("the peer's chain differs from ours"));
            }
        })
    }
}

impl Peers {
    /// The frame for an append: its entries as records, and the link in front of them.
    fn append_frame(
        &self,
        to: NodeId,
        request: &AppendEntriesRequest<Types>,
    ) -> io::Result<Vec<u8>> {
        let previous_link = match &request.prev_log_id {
            Some(id) => self.link_at(id)?,
            None => None,
        };
        let records: Vec<peer::PeerRecord> = request
            .entries
            .iter()
            .map(|entry| {
                let (time, kind, payload) = entry_parts(entry);
                let term = term_of(&entry.log_id);
                peer::PeerRecord { position: entry.log_id.index(), term, time, kind, payload }
            })
            .collect();
        let vote = vote_to_wire(&request.vote);
        let head = peer::AppendHead {
            vote,
            previous: request.prev_log_id.as_ref().map(log_id_to_wire),
            previous_link,
            committed: request.leader_commit.as_ref().map(log_id_to_wire),
            welcomes: self.welcome(vote.term, to),
            records: u32::try_from(records.len()).map_err(io::Error::other)?,
        };
        let bytes: usize =
            records.iter().map(|record| peer::record_bytes(record.payload.len())).sum();
        let mut frame = Vec::with_capacity(bytes + 256);
        peer::write_append(&head, records.iter(), &mut frame);
        Ok(frame)
    }
}
