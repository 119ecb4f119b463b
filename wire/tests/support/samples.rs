//! One value of every message, the same in every run: what the golden files hold.

use bytes::Bytes;
use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    amount::{Amount, Asset},
    codec,
    command::Command,
    entry::EntryBuilder,
    frame,
    genesis::Genesis,
    id::{AccountId, ClusterId, CommandId, KeyId, OPERATOR_KEY},
    outcome::{Answer, Outcome, Rejection, Stamp},
    peer::{
        APPEND, APPENDED, AppendHead, AppendReply, AppendResult, CopyWelcome, DIGEST,
        DIGEST_AGREED, DigestNotice, FORWARD_READ, ForwardRead, ForwardSubmit, LANE, Lane,
        LaneHello, LogId, PeerRecord, TRANSFER, TRANSFERRED, TransferLeader, TransferReply, VOTE,
        VOTED, Vote, VoteReply, VoteRequest, write_append,
    },
    reply::{
        AccountView, AsOf, AssetTotals, HistoryPage, OUTCOMES, Outcomes, REFUSED, Refusal,
        RefusalCode, Refused, Totals, TransferView, VIEW, View, ViewReply, WELCOME, Welcome,
    },
    request::{Consistency, Cursor, HELLO, Hello, Query, READ, ReadRequest, Submit},
    transfer::{Text, Transfer, TransferKind},
};

pub(crate) const KRW: &str = "KRW";

pub(crate) fn transfer() -> Transfer {
    Transfer {
        id: CommandId::parse("0190163d-8694-739b-aea5-966c26f8ad91").unwrap(),
        debit: AccountId::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap(),
        credit: AccountId::parse("f0e1d2c3-b4a5-9687-7869-5a4b3c2d1e0f").unwrap(),
        amount: Amount(12_500),
        asset: Asset::parse(KRW).unwrap(),
        kind: TransferKind::Payment,
        reference: Text::new("order-7").unwrap(),
        memo: Text::new("커피 두 잔").unwrap(),
    }
}

pub(crate) fn open_account() -> OpenAccount {
    OpenAccount {
        id: AccountId::new(5),
        kind: AccountKind::Wallet,
        asset: Asset::parse("POINT").unwrap(),
        label: Text::new("지은").unwrap(),
    }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        cluster: ClusterId([0x11; 16]),
        assets: vec![Asset::parse(KRW).unwrap(), Asset::parse("POINT").unwrap()],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 604_800_000,
        id_tolerance_ms: 300_000,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [0x22; 32],
    }
}

pub(crate) fn commands() -> Vec<Command> {
    vec![
        Command::Genesis(Box::new(genesis())),
        Command::OpenAccount(open_account()),
        Command::Transfer(transfer()),
    ]
}

pub(crate) fn encoded(commands: &[Command]) -> Bytes {
    commands.iter().flat_map(codec::encode).collect()
}

pub(crate) fn stamp() -> Stamp {
    Stamp { position: 42, term: 3, recorded_at: 1_717_171_717_171_717, link: [0x33; 32] }
}

pub(crate) fn outcomes() -> Outcomes {
    let committed = Outcome { index: 0, rejection: None, debit_after: -1, credit_after: i64::MAX };
    let rejected = Outcome {
        index: 1,
        rejection: Some(Rejection::InsufficientFunds),
        debit_after: 0,
        credit_after: 0,
    };
    let first = Some(Stamp { position: 7, ..stamp() });
    let answers = vec![
        Answer { outcome: committed, first: None },
        Answer { outcome: rejected, first: None },
        Answer { outcome: committed, first },
    ];
    Outcomes { number: 9, stamp: stamp(), answers }
}

pub(crate) fn views() -> Vec<(&'static str, View)> {
    let account = AccountView {
        id: AccountId::new(5),
        kind: AccountKind::Wallet,
        asset: Asset::parse(KRW).unwrap(),
        label: Text::new("지은").unwrap(),
        posted: 987_654,
        max_balance: Some(2_000_000),
        opened_at: 1_717_171_717_000_000,
        position: 42,
    };
    let moved = TransferView { transfer: transfer(), stamp: stamp(), index: 2 };
    let next = Some(Cursor { position: 41, command: 3 });
    let sums = AssetTotals {
        asset: Asset::parse(KRW).unwrap(),
        wallet: 5,
        merchant: 4,
        bank: -10,
        fee: 1,
        issuer: 0,
    };
    vec![
        ("account", View::Account(account)),
        ("transfer", View::Transfer(Box::new(moved.clone()))),
        ("history", View::History(HistoryPage { items: vec![moved], next })),
        ("totals", View::Totals(Totals { position: 42, assets: vec![sums] })),
    ]
}

pub(crate) fn queries() -> Vec<(&'static str, Query)> {
    let account = AccountId::new(5);
    let before = Some(Cursor { position: 41, command: 3 });
    vec![
        ("account", Query::Account(account)),
        ("transfer", Query::Transfer(transfer().id)),
        ("history", Query::History { account, limit: 100, before }),
        ("totals", Query::Totals),
    ]
}

fn submit() -> Submit {
    let commands = commands().split_off(1);
    Submit { number: 9, deadline_ms: 5_000, count: 2, commands: encoded(&commands) }
}

fn read(query: Query) -> ReadRequest {
    ReadRequest { number: 10, deadline_ms: 500, consistency: Consistency::Linearizable, query }
}

fn log_id() -> LogId {
    LogId { term: 3, position: 42 }
}

fn vote() -> Vote {
    Vote { term: 3, node: 2, committed: true }
}

pub(crate) fn append_head(records: u32) -> AppendHead {
    AppendHead {
        vote: vote(),
        previous: Some(log_id()),
        previous_link: Some([0x44; 32]),
        committed: None,
        welcomes: None,
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
    entry.push(OPERATOR_KEY, 1, &encoded(&commands()[1..2]));
    entry.push(KeyId(7), 1, &encoded(&commands()[2..]));
    entry.finish()
}

/// Every frame, and an entry's body, by the name of its golden file.
pub(crate) fn golden() -> Vec<(String, Vec<u8>)> {
    let mut all = client_frames();
    all.extend(peer_frames());
    let genesis = codec::encode(&commands()[0]);
    all.extend([("command_genesis".to_owned(), genesis), ("entry".to_owned(), entry())]);
    all
}

fn client_frames() -> Vec<(String, Vec<u8>)> {
    let hello = Hello { key: Text::new("ek_0123456789abcdef").unwrap() };
    let Submit { number, deadline_ms, count, commands } = submit();
    let mut submitted = Vec::new();
    Submit::write(number, deadline_ms, count, &commands, &mut submitted);
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
        ("hello".to_owned(), frame::whole(HELLO, &hello)),
        ("submit".to_owned(), submitted),
        ("welcome".to_owned(), frame::whole(WELCOME, &welcome)),
        ("outcomes".to_owned(), frame::whole(OUTCOMES, &outcomes())),
        ("refused".to_owned(), frame::whole(REFUSED, &Refused { number: 9, refusal })),
    ];
    for (name, query) in queries() {
        frames.push((format!("read_{name}"), frame::whole(READ, &read(query))));
    }
    for (name, view) in views() {
        let reply = ViewReply { number: 10, as_of, view };
        frames.push((format!("view_{name}"), frame::whole(VIEW, &reply)));
    }
    frames
}

fn peer_frames() -> Vec<(String, Vec<u8>)> {
    let mut append = Vec::new();
    write_append(&append_head(2), records().iter(), &mut append);
    let mut heartbeat = Vec::new();
    write_append(&append_head(0), [].iter(), &mut heartbeat);
    let mut welcome = Vec::new();
    let welcomes = Some(CopyWelcome { copy: 0x0102_0304_0506_0708, founder: true });
    write_append(&AppendHead { welcomes, ..append_head(0) }, [].iter(), &mut welcome);
    let mut forward = Vec::new();
    ForwardSubmit { key: [0x55; 32], submit: submit() }.write(&mut forward);
    assert_eq!((append[5], heartbeat[5]), (APPEND, APPEND));
    let last = Some(log_id());
    let request = VoteRequest {
        pre_vote: true,
        vote: vote(),
        last,
        leadership_transfer: false,
        joining: true,
    };
    let reply = VoteReply { vote: vote(), granted: true, last: None, joining: None };
    let joining = VoteReply { joining: Some(0x0102_0304_0506_0708), ..reply };
    let leader = TransferLeader { from: vote(), to: 1, last };
    let read = ForwardRead { key: [0x55; 32], read: read(Query::Totals) };
    let digest = DigestNotice { position: 42, link: [0x33; 32], digest: [0x66; 32] };
    let mut frames = vec![
        ("append", append),
        ("append_heartbeat", heartbeat),
        ("append_welcome", welcome),
        ("vote", frame::whole(VOTE, &request)),
        ("voted", frame::whole(VOTED, &reply)),
        ("voted_joining", frame::whole(VOTED, &joining)),
        ("transfer", frame::whole(TRANSFER, &leader)),
        ("forward_submit", forward),
        ("forward_read", frame::whole(FORWARD_READ, &read)),
        ("digest", frame::whole(DIGEST, &digest)),
        ("digest_agreed", frame::whole(DIGEST_AGREED, &digest)),
    ];
    for (name, lane) in [
        ("lane_control", Lane::Control),
        ("lane_append", Lane::Append),
        ("lane_forward", Lane::Forward),
    ] {
        frames.push((name, frame::whole(LANE, &LaneHello { lane })));
    }
    for (name, result) in append_results() {
        let reply = AppendReply { result, clock: 77, disk_full: true, joining: false };
        frames.push((name, frame::whole(APPENDED, &reply)));
    }
    for (name, reply) in transfer_replies() {
        frames.push((name, frame::whole(TRANSFERRED, &reply)));
    }
    frames.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
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

fn transfer_replies() -> Vec<(&'static str, TransferReply)> {
    let (expected, actual) = (vote(), Vote { term: 4, ..vote() });
    let changed = TransferReply::VoteChanged { expected, actual };
    let lacking = TransferReply::LogNotFlushed { expected: Some(log_id()), actual: None };
    vec![
        ("transferred_accepted", TransferReply::Accepted),
        ("transferred_vote_changed", changed),
        ("transferred_log_not_flushed", lacking),
    ]
}
