//! Sends entries to a peer: one lane, many appends in flight, answered in order.
//!
//! It never sends more than `APPENDS_IN_FLIGHT_MAX` appends without an answer.

use std::{collections::VecDeque, io, time::Duration};

use evenkeel_wire::{
    frame::Frame,
    id::NodeId,
    peer::{self, AppendResult, Lane},
};
use futures_util::{Stream, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use openraft::{
    network::{NetStreamAppend, RPCOption},
    raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{NetworkParts, PeerClient, RpcResult, decode, unreachable};
use crate::{
    limits::APPENDS_IN_FLIGHT_MAX,
    replication::{
        engine::types::{
            EngineTypes, LogId, entry_parts, log_id_from_wire, log_id_to_wire, term_of,
            vote_from_wire, vote_to_wire,
        },
        peers::{
            lane_client::{expect_frame, protocol_error, timed_out},
            message_check::check_append_result,
            transport::LaneEnds,
        },
    },
};

type Appended = RpcResult<StreamAppendResult<EngineTypes>>;

impl NetStreamAppend<EngineTypes> for PeerClient {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, Appended>>>
    where
        S: Stream<Item = AppendEntriesRequest<EngineTypes>> + Send + Unpin + 'static,
    {
        let patience = match self.lane.lane() {
            Lane::Control => option.hard_ttl(),
            _ => self.parts.append_reply,
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

/// An append that isn't answered yet.
struct SentAppend {
    previous: Option<LogId>,
    last: Option<LogId>,
    at: Instant,
}

/// The appends of one stream of the engine, over one lane.
struct AppendSession<'s, S> {
    client: &'s mut PeerClient,
    ends: Option<LaneEnds>,
    input: S,
    ended: bool,
    patience: Duration,
    sent: VecDeque<SentAppend>,
}

impl<S> AppendSession<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<EngineTypes>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Option<io::Result<StreamAppendResult<EngineTypes>>> {
        loop {
            let Some(oldest) = self.sent.front() else {
                if self.ended {
                    self.client.lane.return_lane(self.ends.take());
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
                reply = ends.inbound.receive() => return Some(reply.and_then(|reply| self.handle_reply(reply))),
                request = self.input.next(), if more => {
                    if let Err(error) = self.send(request).await {
                        return Some(Err(error));
                    }
                }
                () = sleep_until(deadline) => {
                    return Some(Err(timed_out("no answer in time")));
                }
            }
        }
    }

    async fn send(&mut self, request: Option<AppendEntriesRequest<EngineTypes>>) -> io::Result<()> {
        let Some(request) = request else {
            self.ended = true;
            return Ok(());
        };
        let now = Instant::now();
        if !self.client.parts.gate.may_send(now) {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "mute: a majority doesn't answer",
            ));
        }
        let mut ends = match self.ends.take() {
            Some(ends) => ends,
            None => self.client.lane.take_lane(self.patience).await?,
        };
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let parts = &self.client.parts;
        let previous_link = match &previous {
            Some(id) => parts.link_at(id).await?,
            None => None,
        };
        let frame = parts.append_frame(self.client.lane.to(), &request, previous_link)?;
        // Cancelled here, the lane is dropped in the middle of a frame: `ends` isn't put back.
        timeout(self.patience, ends.out.send(frame.into()))
            .await
            .map_err(|_| timed_out("the peer accepts no more data"))??;
        self.ends = Some(ends);
        self.sent.push_back(SentAppend { previous, last, at: now });
        Ok(())
    }

    fn handle_reply(
        &mut self,
        reply: Option<Frame>,
    ) -> io::Result<StreamAppendResult<EngineTypes>> {
        let body = expect_frame(reply, peer::APPENDED)?;
        let reply: peer::AppendReply = decode(&body)?;
        let sent = self.sent.pop_front().expect("a reply is read only when one is owed");
        let peer = self.client.lane.to();
        let [previous, last] = [sent.previous, sent.last].map(|id| id.as_ref().map(log_id_to_wire));
        check_append_result(&reply.result, previous, last)?;
        self.client.parts.book.record_answer(peer, &reply);
        if self.client.lane.lane() == Lane::Control {
            // A heartbeat's answer waits for no disk, so its round trip is short.
            self.client.parts.clocks.record(peer, reply.clock, sent.at, Instant::now());
        }
        Ok(match reply.result {
            AppendResult::Durable(id) => Ok(id.map(log_id_from_wire)),
            AppendResult::Conflict(id) => Err(StreamAppendError::Conflict(log_id_from_wire(id))),
            AppendResult::HigherVote(vote) => {
                Err(StreamAppendError::HigherVote(vote_from_wire(vote)))
            }
            AppendResult::Unwelcome(copy) => {
                self.client.parts.empty_copies.record_copy(peer, copy);
                return Err(protocol_error(
                    "the peer's copy began empty, and this primary hasn't proved itself yet",
                ));
            }
            AppendResult::LinkMismatch(id) => {
                if let Some(repeated) = self.client.parts.mismatches.take_turn() {
                    tracing::error!(
                        kind = "damage",
                        peer,
                        position = id.position,
                        repeated,
                        "a peer's journal and ours differ at a position that both hold: it accepts no more and \
                         doesn't vote; run `evenkeel verify` on both"
                    );
                }
                return Err(protocol_error("the peer's chain differs from ours"));
            }
        })
    }
}

impl NetworkParts {
    /// The frame for an append: its entries as records, and the link in front of them.
    fn append_frame(
        &self,
        to: NodeId,
        request: &AppendEntriesRequest<EngineTypes>,
        previous_link: Option<[u8; 32]>,
    ) -> io::Result<Vec<u8>> {
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
        // Followers judge by it how old their views are, so only an answered primary sends it.
        let answered = self.gate.is_answered(Instant::now());
        let committed = request.leader_commit.as_ref().filter(|_| answered);
        let head = peer::AppendHead {
            vote,
            previous: request.prev_log_id.as_ref().map(log_id_to_wire),
            previous_link,
            committed: committed.map(log_id_to_wire),
            admittance: self.empty_copies.admittance_for(vote.term, to),
            records: u32::try_from(records.len()).map_err(io::Error::other)?,
        };
        let bytes: usize =
            records.iter().map(|record| peer::record_bytes(record.payload.len())).sum();
        let mut frame = Vec::with_capacity(bytes + 256);
        peer::write_append(&head, records.iter(), &mut frame);
        Ok(frame)
    }

    /// The link of a record that this node holds; `None` when it holds another or none.
    async fn link_at(&self, id: &LogId) -> io::Result<Option<[u8; 32]>> {
        let tip = self.reads.tip_at(id.index()).await?;
        Ok(tip.filter(|tip| tip.term == term_of(id)).map(|tip| tip.link.0))
    }
}
