//! One value of every message, the same in every run: the content of the golden files.

pub(crate) mod commands;
pub(crate) mod views;

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::Command,
    entry::EntryBuilder,
    frame,
    id::{ClusterId, KeyId, OPERATOR_KEY},
    introduction::{
        CommittedTip, CopyStanding, INTRODUCE, INTRODUCED, Incident, IncidentKind, Introduced,
        Introduction, IntroductionVerdict, MEMORY, MEMORY_KEPT, MemberHad, MemoryNotice, PeerLife,
        Remembered, SAME_HISTORY,
    },
    outcome::{Answer, Outcome, Rejection, Stamp},
    peer::{
        ABOUT, APPEND, APPENDED, AboutMember, Admittance, AppendHead, AppendReply, AppendResult,
        CLOCK, ClockReading, DIGEST, DIGEST_AGREED, DigestNotice, FORWARD_READ, ForwardRead,
        ForwardSubmit, FounderCopy, HandoverReply, HandoverRequest, LANE, Lane, LaneHello,
        PeerAbout, PeerLogId, PeerRecord, PeerVote, TRANSFER, TRANSFERRED, VOTE, VOTED, VoteReply,
        VoteRequest, write_append,
    },
    reply::{
        AsOf, OUTCOMES, Outcomes, REFUSED, Refusal, RefusalCode, Refused, VIEW, ViewReply, WELCOME,
        Welcome,
    },
    request::{Consistency, HELLO, Hello, Query, READ, ReadRequest, Submit},
    transfer::Text,
};

use commands::{open_account, transfer};

pub(crate) fn encoded(commands: &[Command]) -> Bytes {
    commands.iter().flat_map(codec::encode).collect()
}

pub(crate) fn stamp() -> Stamp {
    Stamp { position: 42, term: 3, recorded_at: 1_717_171_717_171_717, link: [0x33; 32] }
}

pub(crate) fn outcomes() -> Outcomes {
    let committed = Outcome {
        index: 0,
        rejection: None,
        amount: 12_500,
        debit_after: -1,
        credit_after: i64::MAX,
    };
    let rejected = rejected(1, Rejection::InsufficientFunds);
    let first = Some(Stamp { position: 7, ..stamp() });
    let answers = vec![
        Answer { outcome: committed, first: None },
        Answer { outcome: rejected, first: None },
        Answer { outcome: committed, first },
    ];
    Outcomes { number: 9, stamp: stamp(), answers }
}

/// An atomic batch whose second command was rejected.
fn batch_failed() -> Outcomes {
    let codes = [Rejection::BatchFailed, Rejection::HoldNotOpen, Rejection::BatchFailed];
    let answer = |code| Answer { outcome: rejected(Outcome::NO_INDEX, code), first: None };
    Outcomes { number: 9, stamp: stamp(), answers: codes.map(answer).to_vec() }
}

fn rejected(index: u16, code: Rejection) -> Outcome {
    Outcome { index, rejection: Some(code), amount: 0, debit_after: 0, credit_after: 0 }
}

/// The commands of the golden submits and of the golden entry.
pub(crate) fn submitted() -> [Command; 2] {
    [Command::OpenAccount(open_account()), Command::Transfer(transfer())]
}

fn submit(atomic: bool) -> Submit {
    let commands = encoded(&submitted());
    Submit { number: 9, deadline_ms: 5_000, count: 2, atomic, commands }
}

fn read(query: Query) -> ReadRequest {
    ReadRequest { number: 10, deadline_ms: 500, consistency: Consistency::Linearizable, query }
}

fn log_id() -> PeerLogId {
    PeerLogId { term: 3, position: 42 }
}

fn vote() -> PeerVote {
    PeerVote { term: 3, node: 2, committed: true }
}

pub(crate) fn append_head(records: u32) -> AppendHead {
    AppendHead {
        vote: vote(),
        previous: Some(log_id()),
        previous_link: Some([0x44; 32]),
        committed: None,
        admittance: None,
        records,
    }
}

pub(crate) fn records() -> Vec<PeerRecord> {
    let record = |position, payload: &'static [u8]| PeerRecord {
        position,
        term: 3,
        time: 1_717_171_717_171_717,
        kind: 2,
        payload: Bytes::from_static(payload),
    };
    vec![record(43, b"payload"), record(44, b"")]
}

pub(crate) fn entry() -> Vec<u8> {
    let mut entry = EntryBuilder::new();
    let [open, transfer] = submitted();
    entry.push(OPERATOR_KEY, false, 1, &codec::encode(&open));
    entry.push(KeyId(7), true, 2, &encoded(&[open, transfer]));
    entry.finish()
}

/// Whether a golden file holds a frame; the others hold a command or an entry's body.
pub(crate) fn is_frame(name: &str) -> bool {
    name != "entry" && !name.starts_with("command_")
}

/// Every frame, every command, and an entry's body, by the name of its golden file.
pub(crate) fn golden() -> Vec<(String, Vec<u8>)> {
    let mut all = client_frames();
    all.extend(peer_frames());
    let commands = commands::all().into_iter();
    all.extend(commands.map(|(name, one)| (format!("command_{name}"), codec::encode(&one))));
    all.push(("entry".to_owned(), entry()));
    all
}

fn client_frames() -> Vec<(String, Vec<u8>)> {
    let hello = Hello { key: Text::new("ek_0123456789abcdef").unwrap() };
    let mut submitted = Vec::new();
    submit(false).write(&mut submitted);
    let mut atomic = Vec::new();
    submit(true).write(&mut atomic);
    let welcome = Welcome {
        cluster: ClusterId([0x11; 16]),
        node: 1,
        site: Text::new("pangyo").unwrap(),
        primary: Some(2),
        volatile: true,
    };
    let refusal = Refusal::new(RefusalCode::NoPrimary, "no site can decide at the moment");
    let as_of = Some(AsOf { position: 42, age_ms: 7 });
    let mut frames = vec![
        ("hello".to_owned(), frame::encode_whole(HELLO, &hello)),
        ("submit".to_owned(), submitted),
        ("submit_atomic".to_owned(), atomic),
        ("welcome".to_owned(), frame::encode_whole(WELCOME, &welcome)),
        ("outcomes".to_owned(), frame::encode_whole(OUTCOMES, &outcomes())),
        ("outcomes_batch_failed".to_owned(), frame::encode_whole(OUTCOMES, &batch_failed())),
        ("refused".to_owned(), frame::encode_whole(REFUSED, &Refused { number: 9, refusal })),
    ];
    for (name, query) in views::queries() {
        frames.push((format!("read_{name}"), frame::encode_whole(READ, &read(query))));
    }
    for (name, view) in views::all() {
        let reply = ViewReply { number: 10, as_of, view };
        frames.push((format!("view_{name}"), frame::encode_whole(VIEW, &reply)));
    }
    frames
}

fn peer_frames() -> Vec<(String, Vec<u8>)> {
    let mut append = Vec::new();
    write_append(&append_head(2), records().iter(), &mut append);
    let mut heartbeat = Vec::new();
    write_append(&append_head(0), [].iter(), &mut heartbeat);
    let mut welcome = Vec::new();
    let founders = vec![FounderCopy { node: 2, copy: 5 }, FounderCopy { node: 3, copy: u64::MAX }];
    let welcomes = Some(Admittance { copy: 0x0102_0304_0506_0708, founder: true, founders });
    write_append(&AppendHead { admittance: welcomes, ..append_head(0) }, [].iter(), &mut welcome);
    let mut forward = Vec::new();
    ForwardSubmit { key: [0x55; 32], submit: submit(true) }.write(&mut forward);
    assert_eq!((append[5], heartbeat[5]), (APPEND, APPEND));
    let last = Some(log_id());
    let request =
        VoteRequest { pre_vote: true, vote: vote(), last, is_handover: false, joining: true };
    let reply = VoteReply { vote: vote(), granted: true, last: None, joining: None };
    let joining = VoteReply { joining: Some(0x0102_0304_0506_0708), ..reply };
    let leader = HandoverRequest { from: vote(), to: 1, last };
    let read = ForwardRead { key: [0x55; 32], read: read(Query::Totals) };
    let clock = ClockReading { clock: 1_790_000_000_000_000 };
    let digest = DigestNotice { position: 42, link: [0x33; 32], digest: [0x66; 32] };
    let mut frames = vec![
        ("append", append),
        ("append_heartbeat", heartbeat),
        ("append_welcome", welcome),
        ("vote", frame::encode_whole(VOTE, &request)),
        ("voted", frame::encode_whole(VOTED, &reply)),
        ("voted_joining", frame::encode_whole(VOTED, &joining)),
        ("transfer", frame::encode_whole(TRANSFER, &leader)),
        ("forward_submit", forward),
        ("forward_read", frame::encode_whole(FORWARD_READ, &read)),
        ("digest", frame::encode_whole(DIGEST, &digest)),
        ("digest_agreed", frame::encode_whole(DIGEST_AGREED, &digest)),
        ("clock", frame::encode_whole(CLOCK, &clock)),
        ("about", frame::encode_whole(ABOUT, &about())),
    ];
    for (name, lane) in [
        ("lane_control", Lane::Control),
        ("lane_append", Lane::Append),
        ("lane_forward", Lane::Forward),
        ("lane_about", Lane::About),
    ] {
        frames.push((name, frame::encode_whole(LANE, &LaneHello { lane })));
    }
    for (name, result) in append_results() {
        let reply = AppendReply { result, clock: 77, disk_full: true, joining: false };
        frames.push((name, frame::encode_whole(APPENDED, &reply)));
    }
    frames.extend(introductions());
    for (name, reply) in transfer_replies() {
        frames.push((name, frame::encode_whole(TRANSFERRED, &reply)));
    }
    frames.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}

fn about() -> PeerAbout {
    let site = |node, site| AboutMember { node, site: Text::new(site).unwrap() };
    PeerAbout {
        version: Text::new("0.1.0").unwrap(),
        profile: Text::new("metro").unwrap(),
        genesis: [7; 32],
        members: vec![site(1, "pangyo"), site(2, "sangam")],
    }
}

fn introduction() -> Introduction {
    Introduction {
        life: PeerLife { start: 7, nonce: 0x0102_0304_0506_0708 },
        standing: CopyStanding::Forgot,
        in_majority: true,
        last: Some(log_id()),
        committed: Some(CommittedTip { id: log_id(), link: [0x33; 32] }),
        remembered: Remembered {
            life: Some(PeerLife { start: 6, nonce: u64::MAX }),
            had: Some(log_id()),
            counted_on: Some((9, log_id())),
        },
    }
}

fn introductions() -> Vec<(&'static str, Vec<u8>)> {
    let answer = |standing, verdict| {
        let own = Introduction { standing, remembered: Remembered::default(), ..introduction() };
        frame::encode_whole(INTRODUCED, &Introduced { own, verdict })
    };
    let text = |text: &str| Text::new(text).unwrap();
    let twin =
        IntroductionVerdict::Twin { other: text("10.0.0.1:7100"), yours: text("10.0.0.9:7100") };
    let kinds = [IncidentKind::RolledBack, IncidentKind::Twin, IncidentKind::HistoryDiffers];
    let incidents: Vec<Incident> = (1..)
        .zip(kinds)
        .map(|(number, kind)| Incident {
            number,
            kind,
            node: 2,
            what: Text::new("at position 42").unwrap(),
        })
        .collect();
    let had = vec![MemberHad { node: 1, had: log_id() }, MemberHad { node: 2, had: log_id() }];
    let (life, standing) = (introduction().life, CopyStanding::Counts);
    let notice = MemoryNotice { term: 9, life, standing, had, incidents: incidents.clone() };
    let differs = IntroductionVerdict::Differs(log_id());
    vec![
        ("introduce", frame::encode_whole(INTRODUCE, &introduction())),
        ("same_history", frame::encode_whole(SAME_HISTORY, &())),
        ("introduced", answer(CopyStanding::Counts, IntroductionVerdict::Known)),
        ("introduced_not_above", answer(CopyStanding::BeganEmpty, IntroductionVerdict::NotAbove)),
        ("introduced_twin", answer(CopyStanding::Counts, twin)),
        ("introduced_differs", answer(CopyStanding::Counts, differs)),
        ("memory", frame::encode_whole(MEMORY, &notice)),
        ("memory_kept", frame::encode_whole(MEMORY_KEPT, &incidents)),
    ]
}

fn append_results() -> Vec<(&'static str, AppendResult)> {
    vec![
        ("appended_durable", AppendResult::Durable(Some(log_id()))),
        ("appended_conflict", AppendResult::Conflict(log_id())),
        ("appended_higher_vote", AppendResult::HigherVote(vote())),
        ("appended_link_mismatch", AppendResult::LinkMismatch(log_id())),
        ("appended_unwelcome", AppendResult::Unwelcome(0x0102_0304_0506_0708)),
    ]
}

fn transfer_replies() -> Vec<(&'static str, HandoverReply)> {
    let (expected, actual) = (vote(), PeerVote { term: 4, ..vote() });
    let changed = HandoverReply::VoteChanged { expected, actual };
    let lacking = HandoverReply::LogNotFlushed { expected: Some(log_id()), actual: None };
    vec![
        ("transferred_accepted", HandoverReply::Accepted),
        ("transferred_vote_changed", changed),
        ("transferred_log_not_flushed", lacking),
    ]
}
