//! Serves peers' messages: decodes frames from lanes for the engine, and encodes its answers.
//!
//! It never accepts a vote of another node than the one in the sender's certificate, and never
//! passes on what the engine would assert (`peers/message_check.rs`).

use crate::telemetry::panic_if_planted;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use evenkeel_wire::{
    codec, frame,
    frame::Frame,
    id::NodeId,
    introduction::{MEMORY, MemoryNotice},
    peer::{self, AppendReply, AppendResult, ClockReading},
};
use futures_util::{StreamExt, stream};
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest};
use tokio::time::Instant;

use super::{
    Raft, digests,
    empty_copy::EmptyCopies,
    engine::types::{
        EngineTypes, entry_from_parts, log_id, log_id_from_wire, log_id_to_wire, term_of,
        vote_from_wire, vote_to_wire,
    },
    journal_reads::JournalReads,
    leadership::handover::messages,
    memory::PeerMemory,
    peers::{clocks::PeerClocks, message_check, transport::LaneEnds},
    progress,
    proposing::sealing_pace,
};
use crate::{
    limits::UNSEALED_BYTES_MAX,
    state::{AppliedState, freshness::Freshness},
    telemetry::folded::FoldedLine,
};

type AppendRequest = AppendEntriesRequest<EngineTypes>;

/// Passes peers' messages to the engine. Clones share everything.
#[derive(Clone)]
pub struct PeerDoor {
    pub raft: Raft,
    pub reads: JournalReads,
    pub clocks: Arc<PeerClocks>,
    pub freshness: Arc<Freshness>,
    pub empty_copies: Arc<EmptyCopies>,
    pub state: Arc<AppliedState>,
    pub memory: Arc<PeerMemory>,
    /// Link mismatches are logged by it.
    pub mismatches: Arc<FoldedLine>,
    /// Records that wait for the keeper are logged by it.
    pub held_records: Arc<FoldedLine>,
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl PeerDoor {
    /// Answers one peer's heartbeats, votes, handovers, digests and questions about the clock until
    /// it ends the lane.
    ///
    /// # Errors
    /// When the lane breaks, the peer breaks the protocol, or the engine has stopped.
    pub async fn serve_control(&self, from: NodeId, mut ends: LaneEnds) -> io::Result<()> {
        self.memory.answer_introduction(from, &mut ends).await?;
        while let Some(frame) = ends.inbound.receive().await? {
            let reply = self.handle_control(from, frame).await?;
            ends.out.send(reply.into()).await?;
        }
        Ok(())
    }

    async fn handle_control(&self, from: NodeId, frame: Frame) -> io::Result<Vec<u8>> {
        match frame.kind {
            peer::APPEND => match self.append_request(from, frame).await? {
                Ok((request, claim)) => {
                    let previous = request.prev_log_id;
                    let last = request.entries.last().map(|entry| entry.log_id).or(previous);
                    let response =
                        self.raft.append_entries(request).await.map_err(io::Error::other)?;
                    let result = response.into_stream_result(previous, last);
                    self.accept_claim(&claim, &result);
                    Ok(self.encode_append_result(result))
                }
                Err(mismatch) => Ok(self.encode_reply(mismatch)),
            },
            peer::VOTE => self.handle_vote(from, &frame).await,
            peer::TRANSFER => self.handle_handover(from, &frame).await,
            peer::DIGEST | peer::DIGEST_AGREED => {
                let notice: peer::DigestNotice = codec::decode(&frame.body).map_err(invalid)?;
                let agreed = frame.kind == peer::DIGEST_AGREED;
                Ok(frame::encode_whole(
                    peer::DIGEST,
                    &digests::answer(&self.state, &notice, agreed),
                ))
            }
            peer::CLOCK => {
                codec::decode::<ClockReading>(&frame.body).map_err(invalid)?;
                let clock = self.clocks.own_time();
                Ok(frame::encode_whole(peer::CLOCK, &ClockReading { clock }))
            }
            MEMORY => {
                let notice: MemoryNotice = codec::decode(&frame.body).map_err(invalid)?;
                self.memory.take_notice(from, notice).await
            }
            other => Err(invalid(format!("a frame of type {other} on the control lane"))),
        }
    }

    /// Accepts one peer's appends until it ends the lane or a record doesn't fit.
    ///
    /// # Errors
    /// As [`Self::serve_control`].
    pub async fn serve_append(&self, from: NodeId, mut ends: LaneEnds) -> io::Result<()> {
        self.memory.answer_introduction(from, &mut ends).await?;
        let LaneEnds { mut out, inbound, link: _ } = ends;
        let failure: Arc<Mutex<Option<AppendFailure>>> = Arc::default();
        let claims: Arc<Mutex<VecDeque<CommitClaim>>> = Arc::default();
        let (failed, claimed) = (failure.clone(), claims.clone());
        let door = self.clone();
        let requests = stream::unfold(Some(inbound), move |inbound| {
            let (door, failed, claimed) = (door.clone(), failed.clone(), claimed.clone());
            async move {
                let mut inbound = inbound?;
                let found = match inbound.receive().await {
                    Ok(Some(frame)) if frame.kind == peer::APPEND => {
                        match door.append_request(from, frame).await {
                            Ok(Ok((request, claim))) => {
                                claimed
                                    .lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .push_back(claim);
                                return Some((request, Some(inbound)));
                            }
                            Ok(Err(mismatch)) => AppendFailure::Mismatch(mismatch),
                            Err(error) => AppendFailure::Broken(error),
                        }
                    }
                    Ok(Some(frame)) => AppendFailure::Broken(invalid(format!(
                        "a frame of type {} on the append lane",
                        frame.kind
                    ))),
                    Ok(None) => return None,
                    Err(error) => AppendFailure::Broken(error),
                };
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                None
            }
        });
        let results = self.raft.stream_append(requests);
        futures_util::pin_mut!(results);
        while let Some(result) = results.next().await {
            let result = result.map_err(io::Error::other)?;
            let claim = claims.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(claim) = claim {
                self.accept_claim(&claim, &result);
            }
            out.send(self.encode_append_result(result).into()).await?;
        }
        let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match failure {
            None => Ok(()),
            Some(AppendFailure::Broken(error)) => Err(error),
            Some(AppendFailure::Mismatch(result)) => {
                out.send(self.encode_reply(result).into()).await
            }
        }
    }

    /// The engine's request, or why its records aren't accepted: this copy isn't admitted, or its
    /// chain and the sender's differ.
    async fn append_request(
        &self,
        from: NodeId,
        frame: Frame,
    ) -> io::Result<Result<(AppendRequest, CommitClaim), AppendResult>> {
        panic_if_planted("peer");
        let (head, records) = peer::read_append(frame.body).map_err(invalid)?;
        self.check_sender(from, head.vote)?;
        message_check::check_append(*self.raft.node_id(), &head, &records)?;
        if self.memory.is_ending() {
            return Err(io::Error::other("this node is about to end"));
        }
        if let Err(copy) = self.empty_copies.check_admittance(head.admittance.as_ref())? {
            return Ok(Err(AppendResult::Unwelcome(copy)));
        }
        self.check_committed(from, &head, &records).await?;
        if !records.is_empty() {
            self.await_sealed().await?;
        }
        if let (Some(previous), Some(expected)) = (head.previous, head.previous_link) {
            let held = self.reads.tip_at(previous.position).await?;
            if let Some(held) = held.filter(|held| held.term == previous.term)
                && held.link.0 != expected
            {
                self.distrust_own_copy(from, previous);
                return Ok(Err(AppendResult::LinkMismatch(previous)));
            }
        }
        let committed = head.committed.map(log_id_from_wire);
        let mut expected_link = head.previous_link;
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let id = log_id(record.term, record.position);
            let entry = entry_from_parts(
                id,
                record.time,
                record.kind,
                record.payload,
                expected_link.take(),
            )
            .map_err(invalid)?;
            entries.push(entry);
        }
        let request = AppendRequest {
            vote: vote_from_wire(head.vote),
            prev_log_id: head.previous.map(log_id_from_wire),
            entries,
            leader_commit: committed,
        };
        // Only a commit of its own term proves that a primary has everything that was ever
        // committed (Raft §5.4.2).
        let proven = head.committed.filter(|id| id.term == head.vote.term);
        let claim = CommitClaim { at: Instant::now(), committed: proven.map(|id| id.position) };
        Ok(Ok((request, claim)))
    }

    /// Holds records back while this node's keeper is too far behind with sealing.
    async fn await_sealed(&self) -> io::Result<()> {
        let journal = self.reads.journal();
        if journal.unsealed_bytes() >= UNSEALED_BYTES_MAX
            && let Some(repeated) = self.held_records.take_turn()
        {
            tracing::error!(
                repeated,
                "this site's keeper is too far behind with sealing the journal: it accepts no records \
                 until a segment is sealed, and lags"
            );
        }
        sealing_pace::await_sealed(|| journal.unsealed_bytes()).await
    }

    /// A primary never lacks a committed record, unless a majority has forgotten it: then the
    /// engine would cut it here, and this copy may be the last one that has it.
    async fn check_committed(
        &self,
        from: NodeId,
        head: &peer::AppendHead,
        records: &[peer::PeerRecord],
    ) -> io::Result<()> {
        let committed = self.reads.journal().committed_position();
        let sent = records.iter().map(|record| (record.position, record.term));
        let previous = head.previous.map(|id| (id.position, id.term));
        for (position, term) in previous.into_iter().chain(sent) {
            if Some(position) > committed {
                break;
            }
            let held = self.reads.tip_at(position).await?;
            let differs = held.is_some_and(|held| held.term != term);
            if differs && head.vote.term >= progress::read_status(&self.raft).term {
                let theirs = peer::PeerLogId { term, position };
                self.memory.end_as_other_history(from, theirs)?;
                return Err(io::Error::other("the histories differ"));
            }
        }
        Ok(())
    }

    /// The primary's chain and this copy's differ at a record that both have: one is damaged.
    fn distrust_own_copy(&self, from: NodeId, at: peer::PeerLogId) {
        self.empty_copies.distrust();
        if let Some(repeated) = self.mismatches.take_turn() {
            tracing::error!(
                kind = "damage",
                peer = from,
                position = at.position,
                repeated,
                "this node's journal and the primary's differ at a position that both hold: accepting no \
                 more records and not voting until this node is started again; run `evenkeel verify` on both"
            );
        }
    }

    /// Records a claim after the engine's verdict: a deposed primary's claims are ignored.
    fn accept_claim(&self, claim: &CommitClaim, verdict: &StreamAppendResult<EngineTypes>) {
        if !matches!(verdict, Err(StreamAppendError::HigherVote(_))) {
            self.freshness.record_contact(claim.at, claim.committed);
        }
    }

    fn check_sender(&self, from: NodeId, vote: peer::PeerVote) -> io::Result<()> {
        if vote.node == from {
            return Ok(());
        }
        Err(invalid(format!("node {from} speaks with the vote of node {}", vote.node)))
    }

    async fn handle_vote(&self, from: NodeId, frame: &Frame) -> io::Result<Vec<u8>> {
        let request: peer::VoteRequest = codec::decode(&frame.body).map_err(invalid)?;
        self.check_sender(from, request.vote)?;
        message_check::check_vote_request(*self.raft.node_id(), &request)?;
        let last = self.reads.journal().newest_tip().map(|tip| log_id(tip.term, tip.position));
        let joining = self.empty_copies.copy_number();
        if self.empty_copies.refuses_vote(request.joining) {
            let vote = peer::PeerVote { term: 0, node: 0, committed: false };
            let last = last.as_ref().map(log_id_to_wire);
            let reply = peer::VoteReply { vote, granted: false, last, joining };
            return Ok(frame::encode_whole(peer::VOTED, &reply));
        }
        let question = VoteRequest {
            vote: vote_from_wire(request.vote),
            last_log_id: request.last.map(log_id_from_wire),
            leadership_transfer: request.is_handover,
        };
        let response = if request.pre_vote {
            self.raft.pre_vote(question).await
        } else {
            self.raft.vote(question).await
        }
        .map_err(io::Error::other)?;
        let reply = peer::VoteReply {
            vote: vote_to_wire(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(log_id_to_wire),
            // It may have become uncounted while the engine decided.
            joining: joining.or(self.empty_copies.copy_number()),
        };
        Ok(frame::encode_whole(peer::VOTED, &reply))
    }

    async fn handle_handover(&self, from: NodeId, frame: &Frame) -> io::Result<Vec<u8>> {
        let request: peer::HandoverRequest = codec::decode(&frame.body).map_err(invalid)?;
        self.check_sender(from, request.from)?;
        message_check::check_handover(*self.raft.node_id(), &request)?;
        let request = messages::request_from_wire(request);
        let response = self.raft.handle_transfer_leader(request).await.map_err(io::Error::other)?;
        Ok(frame::encode_whole(peer::TRANSFERRED, &messages::reply_to_wire(response)))
    }

    fn encode_append_result(&self, result: StreamAppendResult<EngineTypes>) -> Vec<u8> {
        self.encode_reply(match result {
            Ok(id) => AppendResult::Durable(id.as_ref().map(log_id_to_wire)),
            Err(StreamAppendError::Conflict(id)) => {
                AppendResult::Conflict(peer::PeerLogId { term: term_of(&id), position: id.index() })
            }
            Err(StreamAppendError::HigherVote(vote)) => {
                AppendResult::HigherVote(vote_to_wire(&vote))
            }
        })
    }

    fn encode_reply(&self, result: AppendResult) -> Vec<u8> {
        let (clock, disk_full) = (self.clocks.own_time(), self.reads.journal().is_disk_full());
        let joining = self.empty_copies.is_joining();
        frame::encode_whole(peer::APPENDED, &AppendReply { result, clock, disk_full, joining })
    }
}

/// A sender's claim of what is committed, before the engine has judged whether it's the primary.
struct CommitClaim {
    at: Instant,
    committed: Option<u64>,
}

/// Why a lane yields no more requests.
enum AppendFailure {
    Broken(io::Error),
    Mismatch(AppendResult),
}
