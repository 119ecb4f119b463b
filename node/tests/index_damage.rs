//! Damage inside an index with an intact header: it shows at the first lookup that needs it, and is
//! repaired automatically, in the background or at the next start.
//!
//! Such an index once stopped the node at that lookup, again after every restart, until the file
//! was deleted by hand.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use evenkeel_node::{
    history::record_kind,
    keeper::{Keeper, Rest},
    replay::recovery::{self, Recovered, Recovery, RecoveryError, RecoveryReport},
    state::AppliedState,
};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{Disk, DiskTrouble, File, MemoryDisk},
    journal::{self, Journal, JournalOptions, NewRecord, SegmentState, Writer, WriterStep},
};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    codec,
    command::Command,
    day::BusinessDate,
    entry::EntryBuilder,
    genesis::Genesis,
    id::{AccountId, ClusterId, CommandId, OPERATOR_KEY},
    outcome::Answer,
    reply::{HistoryPage, RefusalCode, View},
    request::Query,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};
use tokio::runtime::{self, Runtime};

const DATA: &str = "/data";
const CLUSTER: ClusterId = ClusterId([7; 16]);
/// Microseconds.
const T0: u64 = 1_700_000_000_000_000;
const SECOND: u64 = 1_000_000;
const BANK: AccountId = AccountId::new(0xb);
const ANN: AccountId = AccountId::new(0xa);
/// Commands in each entry after the second.
const PER_ENTRY: u64 = 4;

/// One site without a network: it applies what is in its journal.
struct Site {
    disk: MemoryDisk,
    checkpoints: MemoryCheckpoints,
    journal: Journal,
    writer: Writer,
    state: Arc<AppliedState>,
    keeper: Keeper,
    /// The keeper's time: it stands still except between turns of a keeper at rest.
    clock: Runtime,
    report: RecoveryReport,
}

impl Site {
    fn new() -> Self {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new(DATA)).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        Self::open(disk, MemoryCheckpoints::new(1)).unwrap()
    }

    fn open(disk: MemoryDisk, checkpoints: MemoryCheckpoints) -> Result<Self, RecoveryError> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let options = JournalOptions { segment_bytes: 4096, ..JournalOptions::new(CLUSTER.0) };
        let (journal, writer, _) = journal::open(shared.clone(), Path::new(DATA), options).unwrap();
        let mut loading = checkpoints.reopen();
        let recovery = Recovery {
            disk: shared.clone(),
            journal: journal.clone(),
            checkpoints: &mut loading,
            progress: &mut |_, _| (),
        };
        let Recovered { state, report, .. } = recovery.run()?;
        let again = checkpoints.reopen();
        let keeper = Keeper::new(
            state.clone(),
            state.history().clone(),
            journal.clone(),
            shared,
            Box::new(checkpoints.reopen()),
            Box::new(move |_| Ok(Box::new(again.reopen()))),
            Box::new(|_| ()),
        );
        let clock = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let clock = clock.unwrap();
        Ok(Self { disk, checkpoints, journal, writer, state, keeper, clock, report })
    }

    fn restart(self) -> Result<Self, RecoveryError> {
        Self::open(self.disk, self.checkpoints)
    }

    /// Appends an entry of these commands to the journal, without applying it.
    fn append(&mut self, commands: &[Command]) -> u64 {
        let position = self.journal.newest_tip().map_or(0, |tip| tip.position + 1);
        let mut entry = EntryBuilder::new();
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| codec::encode_into(command, &mut bytes));
        entry.push(OPERATOR_KEY, false, u32::try_from(commands.len()).unwrap(), &bytes);
        let record = NewRecord {
            position,
            term: 1,
            time: T0 + position * SECOND,
            kind: record_kind::COMMANDS,
            payload: entry.finish().into(),
        };
        self.journal.append(vec![record], Box::new(|_| ())).unwrap();
        while self.writer.step(4096) == WriterStep::Worked {}
        self.journal.set_committed(position);
        // Writes a mark that says that the entry is committed.
        self.writer.handle_idle();
        position
    }

    fn apply(&mut self, position: u64) -> Result<(), String> {
        let record = self.journal.read(position, position + 1, 1).unwrap().remove(0);
        recovery::apply_record(&self.state, &record).map_err(|error| error.to_string())
    }

    fn decide(&mut self, commands: &[Command]) {
        let position = self.append(commands);
        self.apply(position).unwrap();
    }

    /// Genesis, two accounts, and top-ups until this many segments are sealed.
    fn live_until_sealed(&mut self, segments: usize) {
        self.decide(&[genesis()]);
        self.decide(&[open(BANK, AccountKind::Bank), open(ANN, AccountKind::Wallet)]);
        while self.sealed().len() < segments {
            let position = self.journal.newest_tip().unwrap().position + 1;
            let commands: Vec<_> = (0..PER_ENTRY).map(|of| top_up(position, of)).collect();
            self.decide(&commands);
            self.rest();
        }
    }

    /// Runs the keeper until it has nothing to do, and a round of scrubbing is over.
    fn rest(&mut self) {
        let mut idle = 0;
        while idle < self.sealed().len() + 3 {
            let inside = self.clock.enter();
            let is_idle = self.keeper.run_turn().unwrap() == Rest::Idle;
            drop(inside);
            if is_idle {
                idle += 1;
                self.clock.block_on(tokio::time::advance(Duration::from_secs(11)));
            }
        }
    }

    fn sealed(&self) -> Vec<(u64, u64)> {
        let segments = self.journal.segments();
        let sealed = segments.iter().filter(|one| one.state == SegmentState::Sealed);
        sealed.map(|one| (one.first, one.last.unwrap())).collect()
    }

    fn index(&self, first: u64, suffix: &str) -> std::io::Result<Arc<dyn File>> {
        self.disk.open(&self.journal.folder().join(format!("{first:020}.index{suffix}")))
    }

    /// Changes every block except the header.
    fn damage(&self, first: u64) {
        let file = self.index(first, "").unwrap();
        for block in 1..file.len().unwrap() / 4096 {
            file.write_at(&[0xa5; 3], block * 4096 + 8).unwrap();
        }
        file.sync_data().unwrap();
    }

    /// The whole history of Ann's account.
    fn page(&self) -> Result<HistoryPage, RefusalCode> {
        let query = Query::History { account: ANN, limit: 1_000, before: None };
        match self.state.answer_query(&query) {
            Ok(View::History(page)) => Ok(page),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    fn wanted(&self) -> usize {
        self.state.history().indexes().recovering_indexes().len()
    }

    fn digest(&self) -> [u8; 32] {
        self.state.with_ledger(|ledger| ledger.digest())
    }
}

fn genesis() -> Command {
    Command::Genesis(Box::new(Genesis {
        cluster: CLUSTER,
        assets: vec![Asset::parse("KRW").unwrap()],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 7 * 24 * 3_600_000,
        id_tolerance_ms: 300_000,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [3; 32],
        first_date: BusinessDate::FIRST,
    }))
}

fn open(id: AccountId, kind: AccountKind) -> Command {
    let (asset, label) = (Asset::parse("KRW").unwrap(), Text::default());
    Command::OpenAccount(OpenAccount { id, kind, asset, label, limits: Limits::default() })
}

/// The same command every time, with its entry's time in the id.
fn top_up(position: u64, of: u64) -> Command {
    let made = (T0 + position * SECOND) / 1_000;
    Command::Transfer(Transfer {
        id: CommandId::from_parts(made, u128::from(position * PER_ENTRY + of) << 62),
        debit: BANK,
        credit: ANN,
        amount: Amount(1),
        asset: Asset::parse("KRW").unwrap(),
        kind: TransferKind::TopUp,
        reference: Text::default(),
        memo: Text::new(&"m".repeat(100)).unwrap(),
    })
}

/// Reverses a top-up of an earlier entry.
fn reversal(position: u64, of: u64) -> Command {
    let Some(transfer) = top_up(of, 0).id() else { unreachable!("it has one") };
    let id = top_up(position, 0).id().unwrap();
    Command::Reversal(Reversal { id, transfer, reason: Text::new("by mistake").unwrap() })
}

/// A site whose ledger came from a checkpoint: earlier commands are in indexes only.
fn lived_and_restarted() -> Site {
    let mut site = Site::new();
    site.live_until_sealed(4);
    let site = site.restart().unwrap();
    assert!(site.report.checkpoint > Some(site.sealed()[1].1), "{:?}", site.report);
    site
}

#[test]
fn an_index_found_damaged_by_a_reader_is_rebuilt_while_the_node_runs() {
    let mut site = Site::new();
    site.live_until_sealed(4);
    let (whole, digest) = (site.page().unwrap(), site.digest());
    let (first, _) = site.sealed()[1];
    site.damage(first);

    assert_eq!(site.page(), Err(RefusalCode::Recovering));
    assert_eq!(site.wanted(), 1);
    assert!(site.index(first, "").is_err() && site.index(first, ".damaged").is_ok());
    // Commands are still decided: a new id can't be in that segment, as its header shows.
    let position = site.journal.newest_tip().unwrap().position + 1;
    site.decide(&[top_up(position, 0)]);

    site.rest();
    assert_eq!(site.wanted(), 0);
    assert!(site.index(first, "").is_ok());
    let page = site.page().unwrap();
    assert_eq!(page.items.len(), whole.items.len() + 1);
    assert_eq!(page.items[1..], whole.items);
    assert_ne!(site.digest(), digest);
    let digest = site.digest();
    let site = site.restart().unwrap();
    assert_eq!((site.digest(), site.page().unwrap()), (digest, page));
    assert_eq!(site.report.indexes_rebuilt, 0);
}

#[test]
fn the_scrubber_finds_damage_that_nobody_asked_for_even_in_several() {
    let mut site = Site::new();
    site.live_until_sealed(5);
    let whole = site.page().unwrap();
    for (first, _) in &site.sealed()[1..4] {
        site.damage(*first);
    }
    site.rest();
    for (first, _) in site.sealed() {
        let index = site.state.history().indexes().segment_index(first).unwrap();
        index.verify().unwrap();
    }
    assert!(site.index(site.sealed()[2].0, ".damaged").is_ok());
    assert_eq!(site.page().unwrap(), whole);
}

/// A segment whose own index needs a damaged one waits until that is rebuilt. Once, this stopped
/// the node.
#[test]
fn a_segment_is_sealed_when_the_index_that_it_needs_is_whole_again() {
    let mut site = lived_and_restarted();
    let (first, last) = site.sealed()[1];
    let next = site.journal.newest_tip().unwrap().position + 1;
    site.decide(&[reversal(next, last)]);
    site.damage(first);
    assert_eq!(site.page(), Err(RefusalCode::Recovering));
    let sealed = site.sealed().len();
    while site.journal.oldest_rolled().is_none() {
        let position = site.journal.newest_tip().unwrap().position + 1;
        let commands: Vec<_> = (0..PER_ENTRY).map(|of| top_up(position, of)).collect();
        site.decide(&commands);
    }
    site.rest();
    assert_eq!((site.wanted(), site.sealed().len()), (0, sealed + 1));
    let page = site.page().unwrap();
    assert!(page.items.iter().any(|item| item.transfer.kind == TransferKind::Reversal));
}

/// Apply never guesses: an entry whose first answer is in a damaged index stops the node, and the
/// next start applies it.
#[test]
fn apply_that_needs_a_damaged_index_stops_and_the_next_start_goes_on() {
    let mut site = lived_and_restarted();
    let (first, last) = site.sealed()[1];
    site.damage(first);
    let position = site.append(&[top_up(last, 0)]);
    let why = site.apply(position).unwrap_err();
    assert!(why.contains("index") && why.contains("start again"), "{why}");
    assert!(site.index(first, "").is_err(), "set aside before the node stops");

    let site = site.restart().unwrap();
    assert_eq!(site.state.position(), Some(position), "the start has applied it");
    assert_eq!((site.report.checkpoint, site.report.indexes_rebuilt), (None, 1));
    assert_eq!(site.wanted(), 0);
    let answers = site.state.with_ledger(|ledger| ledger.outcomes_of(position).unwrap().to_vec());
    assert!(answers[0].replayed, "the first answer is repeated from the rebuilt index");
}

/// The same damage, first met by the replay of a start: no second start is needed.
#[test]
fn a_start_that_needs_a_damaged_index_rebuilds_it() {
    let mut site = lived_and_restarted();
    let sealed = site.sealed();
    let (first, last) = sealed[1];
    let position = site.append(&[top_up(last, 0)]);
    site.apply(position).unwrap();
    let digest = site.digest();
    for (first, _) in &sealed[..3] {
        site.damage(*first);
    }
    let mut site = site.restart().unwrap();
    assert_eq!((site.report.checkpoint, site.report.indexes_damaged > 0), (None, true));
    assert_eq!(site.digest(), digest);
    assert!(site.index(first, "").is_ok());
    // The scrubber finds the damage that the start didn't need.
    site.rest();
    assert_eq!(site.wanted(), 0);
    site.page().unwrap();
}

#[test]
fn without_room_a_rebuild_waits() {
    let mut site = Site::new();
    site.live_until_sealed(3);
    let whole = site.page().unwrap();
    site.damage(site.sealed()[0].0);
    assert_eq!(site.page(), Err(RefusalCode::Recovering));
    site.disk.set_full(true);
    for _ in 0..50 {
        assert!(matches!(site.keeper.run_turn(), Ok(Rest::For(_))));
    }
    assert_eq!(site.wanted(), 1);
    site.disk.set_full(false);
    site.rest();
    assert_eq!(site.page().unwrap(), whole);
}

#[test]
fn answers_are_what_the_ledger_said_the_first_time() {
    let mut site = Site::new();
    site.live_until_sealed(3);
    let (first, last) = site.sealed()[0];
    site.damage(first);
    site.rest();
    let position = site.append(&[top_up(last, 2)]);
    let record = site.journal.read(position, position + 1, 1).unwrap().remove(0);
    let head = evenkeel_ledger::EntryHead {
        position,
        term: record.term,
        time: record.time,
        link: record.link.0,
    };
    let answers: Vec<Answer> = site.state.apply(&head, &record.payload).unwrap();
    let original = answers[0].first.expect("a replay says where it was decided first");
    assert_eq!((original.position, answers[0].outcome.rejection), (last, None));
    // Earlier top-ups of 1: all of the entries from 2 on, and two of its own entry.
    let before = (last - 2) * PER_ENTRY + 2;
    assert_eq!(answers[0].outcome.credit_after, i64::try_from(before).unwrap() + 1);
}

/// A process without a free descriptor stopped here: the segment couldn't be sealed, or its index
/// counted as damaged.
#[test]
fn out_of_descriptors_the_keeper_seals_later_and_sets_nothing_aside() {
    let mut site = Site::new();
    site.live_until_sealed(3);
    while site.journal.oldest_rolled().is_none() {
        let position = site.journal.newest_tip().unwrap().position + 1;
        let commands: Vec<_> = (0..PER_ENTRY).map(|of| top_up(position, of)).collect();
        site.decide(&commands);
    }
    let sealed = site.sealed().len();
    site.disk.set_trouble(DiskTrouble { no_descriptors: true, ..DiskTrouble::default() });
    for _ in 0..9 {
        assert!(matches!(site.keeper.run_turn(), Ok(Rest::For(_))));
    }
    assert_eq!((site.sealed().len(), site.wanted()), (sealed, 0));
    site.disk.set_trouble(DiskTrouble::default());
    site.rest();
    assert_eq!((site.sealed().len(), site.wanted()), (sealed + 1, 0));

    // Scrubbing, too, with no segment to seal.
    site.disk.set_trouble(DiskTrouble { no_descriptors: true, ..DiskTrouble::default() });
    site.rest();
    site.disk.set_trouble(DiskTrouble::default());
    assert!(!site.journal.damage_found());
    for (first, _) in site.sealed() {
        assert!(site.index(first, ".damaged").is_err());
    }
    site.page().unwrap();
}

/// Once, every turn audited rows as long as anything was applied, and none read a segment back.
#[test]
fn a_busy_keeper_reads_segments_back_too_and_audits_within_a_budget() {
    let mut site = Site::new();
    site.live_until_sealed(3);
    let (first, _) = site.sealed()[0];
    site.damage(first);
    let mut short_rests = 0;
    for _ in 0..20 {
        let position = site.journal.newest_tip().unwrap().position + 1;
        site.decide(&[top_up(position, 0)]);
        let inside = site.clock.enter();
        short_rests += u32::from(site.keeper.run_turn().unwrap() != Rest::Idle);
        drop(inside);
        site.clock.block_on(tokio::time::advance(Duration::from_secs(1)));
    }
    assert!(site.index(first, ".damaged").is_ok(), "found while entries were applied");
    assert!(short_rests < 15, "{short_rests} of 20 turns worked: sealing and the rebuild");
}
