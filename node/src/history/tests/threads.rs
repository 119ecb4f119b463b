//! Who reads files: never the thread that runs replication, and never a door's.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_wire::{
    account::AccountKind,
    codec,
    command::Command,
    entry::EntryBuilder,
    id::{CommandId, KeyId, OPERATOR_KEY},
    key::Role,
    outcome::{Answer, Outcome},
    reply::{RefusalCode, View},
    request::Query,
    transfer::TransferKind,
};
use futures_util::stream;
use tokio::time::Instant;

use super::{
    play::Play,
    site::Site,
    watched_disk::ReadWatch,
    words::{
        BANK, MERCHANTS, WALLETS, capture, genesis, hold, open, openings, refund, transfer, void,
    },
};
use crate::{
    admission::{self, targets},
    history::{LookupThreads, record_kind},
    limits::{APPLIED_AT_A_TIME, LOOKUPS_AT_A_TIME},
    metrics::Metrics,
    replication::{
        engine::{
            log_store::LogStore,
            state_machine::StateMachine,
            types::{
                EngineEntry, RaftLogReader, RaftStateMachine, StoredMembership, entry_from_parts,
                log_id,
            },
        },
        journal_reads::JournalReads,
        proposing::{
            queue::Queue,
            repeats::{self, RepeatParts},
        },
    },
    road::{Caller, DecidedEntry, Reply, ReplySink, Request, Ticket},
};

const SEGMENT_BYTES: u64 = 16 << 10;
const SOON: Duration = Duration::from_secs(20);
const TELLER: Caller =
    Caller { key: OPERATOR_KEY, hash: [1; 32], role: Role::Operator, account: None };

/// A merchant's key.
fn merchant() -> Caller {
    Caller { key: KeyId(7), hash: [2; 32], role: Role::Merchant, account: Some(MERCHANTS[0]) }
}

/// Payments, captured holds and voided holds whose ids have left memory.
struct Old {
    site: Site,
    watch: Arc<ReadWatch>,
    payments: Vec<Command>,
    captured: Vec<CommandId>,
    voided: Vec<CommandId>,
}

fn id_of(command: &Command) -> CommandId {
    command.id().unwrap()
}

impl Old {
    fn new() -> Self {
        let (mut site, watch) = Site::watched(SEGMENT_BYTES);
        site.commands(&[genesis()]);
        site.commands(&openings());
        let mut serial = 0_u128;
        let mut next = |site: &Site| {
            serial += 1;
            site.id(serial)
        };
        for wallet in WALLETS {
            let top_up = transfer(next(&site), TransferKind::TopUp, BANK, wallet, 10_000_000);
            site.committed(top_up);
        }
        let (mut payments, mut captured, mut voided) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..60 {
            let kind = TransferKind::Payment;
            let some: Vec<Command> = (0..10)
                .map(|_| transfer(next(&site), kind, WALLETS[0], MERCHANTS[round % 2], 50))
                .collect();
            site.commands(&some);
            payments.extend(some);
            let (taken, given_back) = (next(&site), next(&site));
            site.committed(hold(taken, 1, 0, 70, 1_000_000));
            site.committed(hold(given_back, 1, 0, 70, 1_000_000));
            captured.push(next(&site));
            site.committed(capture(captured[round], taken, None));
            site.committed(void(next(&site), given_back));
            voided.push(given_back);
        }
        // Another entry begins the checkpoint of the last full segment.
        site.seal();
        for _ in 0..200 {
            let filler = transfer(next(&site), TransferKind::TopUp, BANK, WALLETS[2], 1);
            site.commands(&[filler]);
        }
        site.seal();
        let mut site = site.restart();
        // Ids are forgotten up to the tolerance after the last one.
        site.now += 10_000_000;
        assert!(site.state.with_ledger(|ledger| ledger.find_recent(id_of(&payments[0]))).is_none());
        site.state.start_read_threads().unwrap();
        Self { site, watch, payments, captured, voided }
    }

    fn repeats(&self) -> (RepeatParts, Arc<Queue>) {
        let (queue, metrics) = (Arc::new(Queue::default()), Arc::new(Metrics::new()));
        let state = self.site.state.clone();
        (RepeatParts { queue: queue.clone(), state, metrics }, queue)
    }

    /// The state machine at the site's position.
    fn machine(&self) -> StateMachine {
        self.machine_with(self.site.state.read_threads().replication)
    }

    fn machine_with(&self, threads: LookupThreads) -> StateMachine {
        let last = self.site.state.with_ledger(|ledger| ledger.last_entry().copied()).unwrap();
        StateMachine::new(
            self.site.state.clone(),
            JournalReads::new(self.site.journal.clone(), threads),
            Some(log_id(last.term, last.position)),
            StoredMembership::default(),
            Arc::new(Metrics::new()),
        )
    }

    fn reads(&self) -> JournalReads {
        let threads = self.site.state.read_threads().replication;
        JournalReads::new(self.site.journal.clone(), threads)
    }

    /// Appends an entry and returns it as the engine has it.
    fn entry(&mut self, commands: &[Command]) -> EngineEntry {
        let mut builder = EntryBuilder::new();
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        builder.push(OPERATOR_KEY, false, u32::try_from(commands.len()).unwrap(), &bytes);
        let body: Bytes = builder.finish().into();
        let head = self.site.append(record_kind::COMMANDS, body.clone());
        let id = log_id(head.term, head.position);
        entry_from_parts(id, head.time, record_kind::COMMANDS, body, None).unwrap()
    }
}

/// Keeps the replies.
struct Replies(Mutex<mpsc::Sender<(u64, Reply)>>);

impl ReplySink for Replies {
    fn deliver(&self, token: u64, reply: Reply) {
        self.0.lock().unwrap().send((token, reply)).unwrap();
    }
}

fn ticket(
    caller: Caller,
    atomic: bool,
    commands: &[Command],
) -> (Ticket, mpsc::Receiver<(u64, Reply)>) {
    let (sender, replies) = mpsc::channel();
    let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
    let count = u32::try_from(commands.len()).unwrap();
    let ticket = Ticket {
        caller,
        request: Request::Submit { count, atomic, commands: bytes.into() },
        deadline: Instant::now() + SOON,
        waiting_since: None,
        proposed: false,
        sink: Arc::new(Replies(Mutex::new(sender))),
        token: 5,
    };
    (ticket, replies)
}

fn decided(replies: &mpsc::Receiver<(u64, Reply)>) -> (Arc<DecidedEntry>, Vec<Answer>) {
    match replies.recv_timeout(SOON).unwrap() {
        (5, Reply::Decided(decided, range)) => {
            let answers = decided.answers[range].to_vec();
            (decided, answers)
        }
        (token, other) => panic!("{token}: {other:?}"),
    }
}

/// The site applies every entry of a random history with its lookups made before.
#[test]
fn an_entry_reads_no_file_while_it_is_applied() {
    for seed in 0..6 {
        let (mut site, watch) = Site::watched(SEGMENT_BYTES);
        let mut play = Play::new(seed);
        play.found(&mut site);
        play.entries(&mut site, 150);
        site.seal();
        let mut site = site.restart();
        play.entries(&mut site, 150);
        drop(watch);
    }
}

#[tokio::test]
async fn repeats_from_sealed_segments_are_answered_without_an_entry() {
    let old = Old::new();
    let (parts, queue) = old.repeats();
    let first_answers = |commands: &[Command]| {
        let reader = old.site.state.history_reader();
        let find = |command: &Command| reader.find_command(id_of(command)).unwrap().unwrap();
        commands.iter().map(find).collect::<Vec<_>>()
    };
    let expected = first_answers(&old.payments);
    for atomic in [false, true] {
        let (ticket, replies) = ticket(TELLER, atomic, &old.payments);
        let (reads, offered) = old.watch.reads_during(|| repeats::offer(&parts, ticket));
        assert!(offered.is_ok() && reads == 0, "{reads} reads on the caller's thread");
        let (decided, answers) = decided(&replies);
        assert!(queue.is_empty(), "nothing goes into the journal");
        assert_eq!(answers.len(), expected.len());
        for (answer, expected) in answers.iter().zip(&expected) {
            assert_eq!((answer.first, answer.outcome), (Some(expected.stamp), expected.outcome));
        }
        let newest = expected.iter().map(|one| one.stamp.position).max();
        assert_eq!(Some(decided.stamp.position), newest);
    }
}

#[tokio::test]
async fn what_must_be_judged_goes_on_and_its_answers_are_put_between_the_others() {
    let old = Old::new();
    let (parts, queue) = old.repeats();
    let id = id_of(&old.payments[1]);
    let reused = transfer(id, TransferKind::Payment, WALLETS[0], MERCHANTS[0], 51);
    let fresh = transfer(old.site.id(1 << 60), TransferKind::TopUp, BANK, WALLETS[0], 1);
    let commands = [fresh, old.payments[0].clone(), reused, old.payments[2].clone()];
    let (mixed, replies) = ticket(TELLER, false, &commands);
    assert!(repeats::offer(&parts, mixed).is_ok());
    let filled = loop {
        match queue.fill(0) {
            Some(filled) => break filled,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(filled.lookups, 1, "the reused id is looked up again when it's applied");
    let ticket_left = filled.requests.into_iter().next().unwrap().ticket.unwrap();
    let Request::Submit { count, commands: left, .. } = &ticket_left.request else { panic!() };
    let judged: Vec<u8> =
        [&commands[0], &commands[2]].into_iter().flat_map(codec::encode).collect();
    assert_eq!((*count, &left[..]), (2, &judged[..]));
    let outcome = old.site.given[5].outcome;
    let answers = [3, 4].map(|index| Answer { outcome: Outcome { index, ..outcome }, first: None });
    let stamp = old.site.given[5].stamp();
    let entry = Arc::new(DecidedEntry { stamp, answers: answers.to_vec() });
    ticket_left.reply(Reply::Decided(entry, 0..2));
    let (_, merged) = decided(&replies);
    let firsts: Vec<bool> = merged.iter().map(|answer| answer.first.is_some()).collect();
    assert_eq!(firsts, [false, true, false, true]);
    assert_eq!((merged[0], merged[2]), (answers[0], answers[1]));

    // A group is judged as a whole: it isn't divided.
    let (atomic, _replies) = ticket(TELLER, true, &commands);
    assert!(repeats::offer(&parts, atomic).is_ok());
    let filled = loop {
        match queue.fill(0) {
            Some(filled) => break filled,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((filled.entry.command_count(), filled.lookups), (4, 3));
}

#[tokio::test]
async fn targets_of_a_merchants_commands_are_looked_up_elsewhere() {
    let old = Old::new();
    let to_other = id_of(&old.payments[11]);
    assert!(matches!(&old.payments[11], Command::Transfer(one) if one.credit == MERCHANTS[1]));
    let fresh = |number: u128| old.site.id(1 << 61 | number);
    let refunds: Vec<Command> = (0..)
        .zip(old.payments.iter().filter(
            |payment| matches!(payment, Command::Transfer(one) if one.credit == MERCHANTS[0]),
        ))
        .map(|(number, payment)| refund(fresh(number), id_of(payment), Some(1)))
        .collect();
    assert!(refunds.len() > LOOKUPS_AT_A_TIME);
    let captures = old.captured.iter().map(|capture| refund(fresh(901), *capture, Some(1)));
    let voids = old.voided.iter().map(|hold| void(fresh(902), *hold));
    let unknown = refund(fresh(903), fresh(904), None);
    let allowed: Vec<Command> =
        refunds.iter().cloned().chain(captures).chain(voids).chain([unknown]).collect();
    let mut mixed = allowed.clone();
    mixed[300] = refund(fresh(905), to_other, None);
    for (commands, refused_at) in [(&allowed, None), (&mixed, Some(300))] {
        let bytes: Bytes = commands.iter().flat_map(codec::encode).collect::<Vec<u8>>().into();
        let count = u32::try_from(commands.len()).unwrap();
        admission::check_form_and_role(&merchant(), count, &bytes).unwrap();
        let (sender, verdicts) = mpsc::channel();
        let check = || {
            let state = &old.site.state;
            targets::check_targets(state, merchant(), bytes, move |it| sender.send(it).unwrap());
        };
        let (reads, ()) = old.watch.reads_during(check);
        assert_eq!(reads, 0, "reads on the door's thread");
        let verdict = verdicts.recv_timeout(SOON).unwrap();
        match refused_at {
            None => assert_eq!(verdict, Ok(())),
            Some(at) => {
                let refusal = verdict.unwrap_err();
                assert_eq!(refusal.code, RefusalCode::Forbidden);
                assert!(refusal.detail.as_str().starts_with(&format!("command {at}: ")));
            }
        }
    }
}

#[tokio::test]
async fn transfers_and_holds_are_read_elsewhere() {
    let old = Old::new();
    let queries = [
        Query::Transfer(id_of(&old.payments[0])),
        Query::Transfer(old.captured[0]),
        Query::Hold(old.voided[0]),
    ];
    for query in queries {
        let (mut read, replies) = ticket(TELLER, false, &[]);
        read.request = Request::Read(query.clone());
        let answer = || admission::answer_ticket(&old.site.state, read, None);
        let (reads, ()) = old.watch.reads_during(answer);
        assert_eq!(reads, 0, "{query:?}: reads on the caller's thread");
        let (_, reply) = replies.recv_timeout(SOON).unwrap();
        assert!(matches!(reply, Reply::View(view, None)
            if matches!(&*view, View::Transfer(_) | View::Hold(_))));
        old.watch.begin();
        let deadline = Instant::now() + SOON;
        admission::read_locally(&old.site.state, TELLER, query, deadline).await.unwrap();
        assert_eq!(old.watch.end(), 0);
    }
}

/// A caller that waits for a hung disk is answered at its deadline.
#[tokio::test]
async fn requests_that_wait_for_a_hung_disk_end_at_their_deadline() {
    let old = Old::new();
    let (parts, _queue) = old.repeats();
    old.watch.close_gate();
    let soon = || Instant::now() + Duration::from_millis(50);
    let mut replies = Vec::new();
    let (mut repeats_sent, repeats_replies) = ticket(TELLER, false, &old.payments);
    repeats_sent.deadline = soon();
    assert!(repeats::offer(&parts, repeats_sent).is_ok());
    replies.push(repeats_replies);
    let (mut read, read_replies) = ticket(TELLER, false, &[]);
    read.request = Request::Read(Query::Transfer(id_of(&old.payments[0])));
    read.deadline = soon();
    admission::answer_ticket(&old.site.state, read, None);
    replies.push(read_replies);
    let refunds = [refund(old.site.id(1 << 60), id_of(&old.payments[0]), None)];
    let (mut refund_sent, refund_replies) = ticket(merchant(), false, &refunds);
    refund_sent.deadline = soon();
    targets::check_ticket(&old.site.state, refund_sent, |_| panic!("nothing is known of it"));
    replies.push(refund_replies);
    for replies in replies {
        let (_, reply) = replies.recv_timeout(SOON).unwrap();
        let Reply::Refused(refusal) = reply else { panic!("{reply:?}") };
        assert_eq!(refusal.code, RefusalCode::Overloaded);
    }
    let local = Query::Hold(old.voided[0]);
    let read = admission::read_locally(&old.site.state, TELLER, local, soon()).await;
    assert_eq!(read.unwrap_err().code, RefusalCode::Overloaded);
    old.watch.open_gate();
}

/// Replication goes on while a disk takes its time: with apply, and with a peer that catches up.
#[tokio::test]
async fn a_slow_disk_holds_back_only_those_who_need_it() {
    let mut old = Old::new();
    let mut commands: Vec<Command> = old.payments.iter().take(40).cloned().collect();
    let number = |number: u128| 1_u128 << 62 | number;
    commands.push(refund(old.site.id(number(1)), id_of(&old.payments[50]), Some(1)));
    commands.push(refund(old.site.id(number(2)), old.captured[3], Some(1)));
    commands.push(open(BANK, AccountKind::Bank));
    let entry = old.entry(&commands);
    let mut machine = old.machine();
    let mut store = LogStore::new(old.reads(), None, None);
    let watch = old.watch.clone();
    watch.close_gate();
    watch.begin();
    let position = entry.log_id.index();
    let applied = machine.apply(stream::iter([Ok((entry, None))]));
    let caught_up = store.limited_get_log_entries(0, 10);
    let turns = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(old.site.state.position() < Some(position), "it waits for the disk");
        watch.open_gate();
    };
    let (applied, entries, ()) = tokio::join!(applied, caught_up, turns);
    assert_eq!(watch.end(), 0, "reads on the thread of replication");
    applied.unwrap();
    assert!(!entries.unwrap().is_empty());
    assert_eq!(old.site.state.position(), Some(position));
    let decided =
        old.site.state.with_ledger(|ledger| ledger.outcomes_of(position).unwrap().to_vec());
    assert!(decided[..40].iter().all(|one| one.replayed));
    assert!(decided[40..42].iter().all(|one| one.outcome.rejection.is_none() && !one.replayed));
    assert!(decided[42].replayed, "the account is open already");
}

#[tokio::test]
async fn a_backlog_of_entries_lets_others_have_their_turns() {
    let mut old = Old::new();
    let per_entry = APPLIED_AT_A_TIME / 2;
    let entries: Vec<EngineEntry> = (0..8_u128)
        .map(|entry| {
            let id = |number: usize| {
                old.site.id(1 << 63 | entry << 32 | u128::try_from(number).unwrap())
            };
            let commands: Vec<Command> = (0..per_entry)
                .map(|number| transfer(id(number), TransferKind::TopUp, BANK, WALLETS[0], 1))
                .collect();
            old.entry(&commands)
        })
        .collect();
    let last = entries.last().unwrap().log_id.index();
    // Nothing here waits for another thread, which would be a turn for others.
    let mut machine = old.machine_with(LookupThreads::default());
    let state = old.site.state.clone();
    let turns = async {
        let mut seen = 0;
        while state.position() < Some(last) {
            seen += 1;
            tokio::task::yield_now().await;
        }
        seen
    };
    let all = stream::iter(entries.into_iter().map(|entry| Ok((entry, None))));
    let (applied, seen) = tokio::join!(machine.apply(all), turns);
    applied.unwrap();
    assert!(seen >= 3, "{seen} turns during eight entries of {per_entry} commands");
    let decided = state.with_ledger(|ledger| ledger.outcomes_of(last).unwrap()[0]);
    assert_eq!(decided.outcome.rejection, None);
}
