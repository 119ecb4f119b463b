//! Sends entries to a peer: one lane, many appends in flight, answered in order.
//!
//! A slow line isn't a lost one. An append has time for its bytes, and as long as answers come none
//! is sent again. The engine waits for a heartbeat's answer until the next one is due; on a line
//! with a longer round trip the lane is kept, so that followers hear heartbeats at their pace, and
//! late answers still say that the peer follows.
//!
//! It never sends more than `APPENDS_IN_FLIGHT_MAX` appends or `APPEND_BYTES_IN_FLIGHT_MAX` bytes
//! without an answer.

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
    limits::{APPEND_BYTES_IN_FLIGHT_MAX, APPENDS_IN_FLIGHT_MAX, LINE_RATE_MIN},
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
        _option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, Appended>>>
    where
        S: Stream<Item = AppendEntriesRequest<EngineTypes>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            let session = AppendSession::begin(self, input);
            let replies = stream::unfold(Some(session), |session| async {
                let mut session = session?;
                match session.next().await {
                    None => None,
                    Some(Ok(result)) => {
                        let goes_on = result.is_ok();
                        Some((Ok(result), goes_on.then_some(session)))
                    }
                    Some(Err(error)) => {
                        session.abandon();
                        Some((Err(unreachable(error)), None))
                    }
                }
            });
            let replies: BoxStream<'s, Appended> = replies.boxed();
            Ok(replies)
        })
    }
}

/// An append that isn't answered yet.
struct SentAppend {
    /// The sender's term, if it's elected.
    led_term: Option<u64>,
    previous: Option<LogId>,
    last: Option<LogId>,
    at: Instant,
    bytes: usize,
}

/// A lane in step, on which answers are owed that the engine no longer waits for.
pub(super) struct OwingLane {
    ends: LaneEnds,
    sent: VecDeque<SentAppend>,
}

/// The time that a message of this size takes on the slowest line.
fn time_of(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_millis(bytes.saturating_mul(1_000) / LINE_RATE_MIN)
}

/// The appends of one stream of the engine, over one lane.
struct AppendSession<'s, S> {
    client: &'s mut PeerClient,
    ends: Option<LaneEnds>,
    input: S,
    ended: bool,
    sent: VecDeque<SentAppend>,
    /// How many in front of `sent` are of earlier sessions: nobody waits for their answers.
    late: usize,
    /// When the last answer of this session came.
    answered: Option<Instant>,
}

impl<S> Drop for AppendSession<'_, S> {
    fn drop(&mut self) {
        let Some(mut ends) = self.ends.take().filter(|_| !self.sent.is_empty()) else { return };
        if self.client.lane.lane() == Lane::Control {
            let sent = std::mem::take(&mut self.sent);
            self.client.owing = Some(OwingLane { ends, sent });
        } else {
            ends.out.abandon();
        }
    }
}

impl<'s, S> AppendSession<'s, S> {
    fn begin(client: &'s mut PeerClient, input: S) -> Self {
        let (ends, sent) = match client.owing.take() {
            Some(OwingLane { ends, sent }) => (Some(ends), sent),
            None => (None, VecDeque::new()),
        };
        let late = sent.len();
        Self { client, ends, input, ended: false, sent, late, answered: None }
    }

    /// Gives up the lane, which isn't in step.
    fn abandon(mut self) {
        if let Some(mut ends) = self.ends.take() {
            ends.out.abandon();
        }
    }

    /// Until when the oldest answer is waited for: while answers come, the line is alive.
    fn deadline(&self, oldest: &SentAppend) -> Instant {
        let since = self.answered.map_or(oldest.at, |answered| answered.max(oldest.at));
        since + self.client.parts.append_reply + time_of(oldest.bytes)
    }

    fn may_send_more(&self) -> bool {
        let bytes: usize = self.sent.iter().map(|append| append.bytes).sum();
        !self.ended && self.sent.len() < APPENDS_IN_FLIGHT_MAX && bytes < APPEND_BYTES_IN_FLIGHT_MAX
    }
}

impl<S> AppendSession<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<EngineTypes>> + Send + Unpin + 'static,
{
    async fn next(&mut self) -> Option<io::Result<StreamAppendResult<EngineTypes>>> {
        loop {
            if self.ended && self.sent.is_empty() {
                self.client.lane.return_lane(self.ends.take());
                return None;
            }
            if self.ended && self.sent.len() == self.late {
                return None;
            }
            let Some(oldest) = self.sent.front() else {
                let request = self.input.next().await;
                if let Err(error) = self.send(request).await {
                    return Some(Err(error));
                }
                continue;
            };
            let (deadline, more) = (self.deadline(oldest), self.may_send_more());
            let ends = self.ends.as_mut().expect("a lane is open while something is unanswered");
            tokio::select! {
                biased;
                reply = ends.inbound.receive() => {
                    let is_late = self.late > 0;
                    self.late = self.late.saturating_sub(1);
                    let result = reply.and_then(|reply| self.handle_reply(reply));
                    if !(is_late && matches!(result, Ok(Ok(_) | Err(StreamAppendError::Conflict(_))))) {
                        return Some(result);
                    }
                }
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
            None => self.client.lane.take_lane(self.client.parts.append_reply).await?,
        };
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let parts = &self.client.parts;
        let previous_link = match &previous {
            Some(id) => parts.link_at(id).await?,
            None => None,
        };
        let frame = parts.append_frame(self.client.lane.to(), &request, previous_link)?;
        let (bytes, vote) = (frame.len(), vote_to_wire(&request.vote));
        // Cancelled here, the lane is dropped in the middle of a frame: `ends` isn't put back.
        timeout(parts.append_reply + time_of(bytes), ends.out.send(frame.into()))
            .await
            .map_err(|_| timed_out("the peer accepts no more data"))??;
        self.ends = Some(ends);
        let led_term = vote.committed.then_some(vote.term);
        self.sent.push_back(SentAppend { led_term, previous, last, at: now, bytes });
        Ok(())
    }

    fn handle_reply(
        &mut self,
        reply: Option<Frame>,
    ) -> io::Result<StreamAppendResult<EngineTypes>> {
        let body = expect_frame(reply, peer::APPENDED)?;
        let reply: peer::AppendReply = decode(&body)?;
        let sent = self.sent.pop_front().expect("a reply is read only when one is owed");
        self.answered = Some(Instant::now());
        let peer = self.client.lane.to();
        let [previous, last] = [sent.previous, sent.last].map(|id| id.as_ref().map(log_id_to_wire));
        check_append_result(&reply.result, previous, last)?;
        self.client.parts.book.record_answer(peer, &reply);
        if self.client.lane.lane() == Lane::Control {
            // A heartbeat's answer waits for no disk, so its round trip is short.
            self.client.parts.clocks.record(peer, reply.clock, sent.at, Instant::now());
        }
        let follows = matches!(reply.result, AppendResult::Durable(_) | AppendResult::Conflict(_));
        if let Some(term) = sent.led_term.filter(|_| follows && !reply.joining) {
            self.client.parts.majority.record_answer(peer, term, sent.at);
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
