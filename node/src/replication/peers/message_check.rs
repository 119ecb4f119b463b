//! Checks of peers' messages, before the engine sees them: the engine and the journal assert what a
//! correct peer guarantees, and an assertion ends the node.
//!
//! A message that fails is refused by name and costs its lane. It never changes a vote, a term or
//! a record.

use std::io;

use evenkeel_wire::{
    id::NodeId,
    limits::ENTRY_BYTES_MAX,
    peer::{
        AppendHead, AppendResult, HandoverReply, HandoverRequest, PeerLogId, PeerRecord, PeerVote,
        VoteReply, VoteRequest,
    },
};

use crate::{history::record_kind, limits::LOG_NUMBER_MAX};

/// A message that is well formed and can't be true: its lane ends, the connection stays.
fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn check(holds: bool, why: impl FnOnce() -> String) -> io::Result<()> {
    if holds { Ok(()) } else { Err(refused(why())) }
}

/// The last term and position leave room for a next one.
fn check_number(what: &str, number: u64) -> io::Result<()> {
    check(number <= LOG_NUMBER_MAX, || format!("{what} {number} is beyond {LOG_NUMBER_MAX}"))
}

fn check_id(id: Option<PeerLogId>) -> io::Result<()> {
    let Some(id) = id else { return Ok(()) };
    check_number("term", id.term)?;
    check_number("position", id.position)
}

/// Records to append: a primary's vote, and records that follow each other from `previous` on.
pub(crate) fn check_append(
    own: NodeId,
    head: &AppendHead,
    records: &[PeerRecord],
) -> io::Result<()> {
    let vote = head.vote;
    check(vote.node != own, || "this node's own vote, from a peer".into())?;
    check(vote.committed, || format!("records of term {} by no elected primary", vote.term))?;
    check_number("term", vote.term)?;
    check_id(head.previous)?;
    check_id(head.committed)?;
    let committed_term = head.committed.map_or(0, |id| id.term);
    check(committed_term <= vote.term, || {
        format!("a commit of term {committed_term} by the primary of term {}", vote.term)
    })?;
    let mut before = head.previous;
    for record in records {
        check_record(record, before, vote)?;
        before = Some(PeerLogId { term: record.term, position: record.position });
    }
    check(before.is_none_or(|last| last.term <= vote.term), || {
        format!("a record of a later term than the primary's, {}", vote.term)
    })
}

fn check_record(record: &PeerRecord, before: Option<PeerLogId>, vote: PeerVote) -> io::Result<()> {
    let PeerRecord { position, term, .. } = *record;
    let due = before.map_or(0, |before| before.position + 1);
    check(position == due, || {
        format!("the record at position {position} doesn't follow: {due} is due")
    })?;
    check_id(Some(PeerLogId { term, position }))?;
    let least = before.map_or(0, |before| before.term);
    check((least..=vote.term).contains(&term), || {
        format!(
            "the record at position {position} has term {term}, not within {least} and {}",
            vote.term
        )
    })?;
    let bytes = record.payload.len();
    check(bytes <= ENTRY_BYTES_MAX, || {
        format!("the record at position {position} has {bytes} bytes")
    })?;
    check(record.kind != record_kind::BLANK || bytes == 0, || {
        format!("the blank record at position {position} has {bytes} bytes")
    })
}

/// A request for a vote: a candidate's, not a primary's.
pub(crate) fn check_vote_request(own: NodeId, request: &VoteRequest) -> io::Result<()> {
    check(request.vote.node != own, || "this node's own candidacy, from a peer".into())?;
    check(!request.vote.committed, || "a candidacy that calls itself elected".into())?;
    check_number("term", request.vote.term)?;
    check_id(request.last)
}

/// A request to take over.
pub(crate) fn check_handover(own: NodeId, request: &HandoverRequest) -> io::Result<()> {
    check(request.from.node != own, || "a handover from this node, by a peer".into())?;
    check_number("term", request.from.term)?;
    check_id(request.last)
}

/// The answer to a request for a vote.
pub(crate) fn check_vote_reply(reply: &VoteReply) -> io::Result<()> {
    check_number("term", reply.vote.term)?;
    check_id(reply.last)
}

/// The answer to a request to take over.
pub(crate) fn check_handover_reply(reply: &HandoverReply) -> io::Result<()> {
    match reply {
        HandoverReply::Accepted => Ok(()),
        HandoverReply::VoteChanged { expected, actual } => {
            check_number("term", expected.term)?;
            check_number("term", actual.term)
        }
        HandoverReply::LogNotFlushed { expected, actual } => {
            check_id(*expected)?;
            check_id(*actual)
        }
    }
}

/// The answer to an append that went from `previous` to `last`.
pub(crate) fn check_append_result(
    result: &AppendResult,
    previous: Option<PeerLogId>,
    last: Option<PeerLogId>,
) -> io::Result<()> {
    let order = |id: Option<PeerLogId>| id.map(|id| (id.term, id.position));
    match result {
        AppendResult::Durable(id) => {
            let within = order(previous) <= order(*id) && order(*id) <= order(last);
            check(within, || "a peer acknowledges other records than it was sent".into())
        }
        AppendResult::Conflict(id) => check(Some(*id) == previous, || {
            "a peer has a conflict at another position than it was asked about".into()
        }),
        AppendResult::HigherVote(vote) => check_number("term", vote.term),
        AppendResult::LinkMismatch(_) | AppendResult::Unwelcome(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const OWN: NodeId = 2;

    fn head(previous: Option<(u64, u64)>) -> AppendHead {
        AppendHead {
            vote: PeerVote { term: 5, node: 1, committed: true },
            previous: previous.map(|(term, position)| PeerLogId { term, position }),
            previous_link: None,
            committed: None,
            admittance: None,
            records: 0,
        }
    }

    fn record(term: u64, position: u64) -> PeerRecord {
        PeerRecord { position, term, time: 0, kind: record_kind::BLANK, payload: Bytes::new() }
    }

    fn why(head: &AppendHead, records: &[PeerRecord]) -> String {
        let error = check_append(OWN, head, records).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "the lane alone");
        error.to_string()
    }

    #[test]
    fn records_that_follow_each_other_pass() {
        let good = [record(3, 8), record(5, 9)];
        check_append(OWN, &head(Some((3, 7))), &good).expect("they follow");
        check_append(OWN, &head(Some((3, 7))), &[]).expect("a heartbeat");
        check_append(OWN, &head(None), &[record(1, 0)]).expect("from the start");
    }

    #[test]
    fn what_the_engine_would_assert_is_refused_by_name() {
        let after = head(Some((3, 7)));
        assert!(why(&after, &[record(3, 9)]).contains("position 9 doesn't follow: 8 is due"));
        assert!(why(&after, &[record(3, 8), record(3, 10)]).contains("9 is due"));
        assert!(why(&after, &[record(3, 8), record(3, 8)]).contains("9 is due"));
        assert!(why(&head(None), &[record(1, 1)]).contains("0 is due"));
        assert!(why(&after, &[record(2, 8)]).contains("term 2, not within 3 and 5"));
        assert!(why(&after, &[record(6, 8)]).contains("term 6, not within 3 and 5"));
        assert!(why(&head(Some((6, 7))), &[]).contains("later term"));
        assert!(why(&head(Some((3, u64::MAX))), &[]).contains("position"));
        let mut bad = head(None);
        bad.vote.term = u64::MAX;
        assert!(why(&bad, &[]).contains("term 18446744073709551615 is beyond"));
        let mut bad = head(None);
        bad.vote.committed = false;
        assert!(why(&bad, &[]).contains("no elected primary"));
        let mut bad = head(None);
        bad.vote.node = OWN;
        assert!(why(&bad, &[]).contains("own vote"));
        let mut bad = head(None);
        bad.committed = Some(PeerLogId { term: 6, position: 1 });
        assert!(why(&bad, &[]).contains("a commit of term 6"));
        let mut large = record(3, 8);
        large.payload = vec![0; ENTRY_BYTES_MAX + 1].into();
        large.kind = record_kind::COMMANDS;
        assert!(why(&after, &[large]).contains("bytes"));
    }

    #[test]
    fn votes_and_handovers_leave_room_for_a_next_term() {
        let candidacy = |term, node, committed| VoteRequest {
            pre_vote: false,
            vote: PeerVote { term, node, committed },
            last: None,
            is_handover: false,
            joining: false,
        };
        check_vote_request(OWN, &candidacy(7, 1, false)).expect("a candidate");
        for bad in [candidacy(u64::MAX, 1, false), candidacy(7, 1, true), candidacy(7, OWN, false)]
        {
            check_vote_request(OWN, &bad).expect_err("refused");
        }
        let vote = PeerVote { term: u64::MAX, node: 1, committed: false };
        let reply = VoteReply { vote, granted: false, last: None, joining: None };
        check_vote_reply(&reply).expect_err("refused");
        let request = HandoverRequest { from: vote, to: OWN, last: None };
        check_handover(OWN, &request).expect_err("refused");
        check_handover_reply(&HandoverReply::VoteChanged { expected: vote, actual: vote })
            .expect_err("refused");
    }

    #[test]
    fn an_answer_concerns_what_was_sent() {
        let id = |term, position| Some(PeerLogId { term, position });
        let (previous, last) = (id(3, 7), id(3, 9));
        let judge = |result| check_append_result(&result, previous, last);
        judge(AppendResult::Durable(last)).expect("all of it");
        judge(AppendResult::Durable(previous)).expect("a heartbeat");
        judge(AppendResult::Durable(id(3, 10))).expect_err("more than was sent");
        judge(AppendResult::Durable(id(2, 6))).expect_err("less than was known");
        judge(AppendResult::Conflict(PeerLogId { term: 3, position: 7 })).expect("as asked");
        judge(AppendResult::Conflict(PeerLogId { term: 3, position: 8 })).expect_err("not asked");
        let vote = PeerVote { term: u64::MAX, node: 1, committed: true };
        judge(AppendResult::HigherVote(vote)).expect_err("no next term");
    }
}
