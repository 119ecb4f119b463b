//! A ledger with its journal in memory, and short constructors of commands.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    codec,
    command::{Command, Commands},
    day::BusinessDate,
    entry::{EntryBody, EntryBuilder},
    genesis::Genesis,
    id::{AccountId, ClusterId, CommandId, KeyId, OPERATOR_KEY},
    limits::AMOUNT_MAX,
    outcome::{Answer, Outcome, Rejection},
    transfer::{Text, Transfer, TransferKind},
};

use crate::{
    AppliedCounts, EntryHead, JournalLookup, Ledger, LedgerFault, MemoryAdvice, NeededLookup,
    RecordedCommand,
    containers::ids::HashSeed,
    rules::{context::CommandContext, known_ids::CurrentEntry},
    tables::Tables,
};

/// The genesis entry's time, microseconds: not on a whole millisecond.
pub(crate) const T0: u64 = 1_700_000_000_000_001;
pub(crate) const HORIZON_MS: u64 = 60_000;
pub(crate) const TOLERANCE_MS: u64 = 5_000;

/// All entries, and how many of them are sealed.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    pub(crate) entries: Vec<(EntryHead, Vec<u8>)>,
    firsts: BTreeMap<u128, (u64, u16, Outcome)>,
    pub(crate) sealed_through: Option<u64>,
    pub(crate) sealed_asked: usize,
    pub(crate) recorded_asked: usize,
    pub(crate) broken: bool,
}

impl JournalLookup for Journal {
    fn read_command(
        &mut self,
        position: u64,
        command: u16,
    ) -> Result<RecordedCommand, LedgerFault> {
        self.recorded_asked += 1;
        if self.broken {
            return Err(LedgerFault::new("the disk failed"));
        }
        let (head, body) = &self.entries[usize::try_from(position).unwrap()];
        let (_, bytes) = commands_of(body).swap_remove(usize::from(command));
        Ok(RecordedCommand { stamp: head.stamp(), bytes })
    }

    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
        self.sealed_asked += 1;
        if self.broken {
            return Err(LedgerFault::new("the disk failed"));
        }
        let found = self.firsts.get(&id.number()).copied();
        Ok(found.filter(|(position, ..)| Some(*position) <= self.sealed_through))
    }
}

impl Journal {
    /// Keeps the first answers to an entry's recorded ids, as the indexes do.
    fn index(&mut self, ledger: &Ledger, position: u64) {
        let (_, body) = &self.entries[usize::try_from(position).unwrap()];
        let Some(decided) = ledger.outcomes_of(position) else { return };
        for (number, ((_, bytes), decided)) in commands_of(body).iter().zip(decided).enumerate() {
            if let Some(id) = codec::decode::<Command>(bytes).unwrap().id()
                && decided.is_recorded()
            {
                let first = (position, u16::try_from(number).unwrap(), decided.outcome);
                assert_eq!(self.firsts.insert(id.number(), first), None);
            }
        }
    }
}

/// A journal that fails when an entry asks for more than its lookups named.
struct WatchedJournal<'a> {
    journal: &'a mut Journal,
    ids: BTreeSet<u128>,
    commands: BTreeSet<(u64, u16)>,
}

impl<'a> WatchedJournal<'a> {
    fn new(ledger: &Ledger, journal: &'a mut Journal, body: &[u8]) -> Self {
        let (ids, commands) = (BTreeSet::new(), BTreeSet::new());
        let mut watched = Self { journal, ids, commands };
        for needed in ledger.find_lookups(body) {
            match needed {
                NeededLookup::Id { id, is_payment } => watched.allow_id(ledger, id, is_payment),
                NeededLookup::Command { position, command, is_payment } => {
                    watched.allow_command(ledger, (position, command), is_payment);
                }
            }
        }
        watched
    }

    fn allow_id(&mut self, ledger: &Ledger, id: CommandId, is_payment: bool) {
        self.ids.insert(id.number());
        let sealed = self.journal.firsts.get(&id.number());
        let sealed = sealed.filter(|(position, ..)| Some(*position) <= self.journal.sealed_through);
        let found = ledger.find_recent(id).or(sealed.copied());
        if let Some((position, command, _)) = found {
            self.allow_command(ledger, (position, command), is_payment);
        }
    }

    fn allow_command(&mut self, ledger: &Ledger, place: (u64, u16), is_payment: bool) {
        self.commands.insert(place);
        let (_, body) = &self.journal.entries[usize::try_from(place.0).unwrap()];
        let bytes = commands_of(body).swap_remove(usize::from(place.1)).1;
        if is_payment && let Command::Capture(capture) = codec::decode(&bytes).unwrap() {
            self.allow_id(ledger, capture.hold, false);
        }
    }
}

impl JournalLookup for WatchedJournal<'_> {
    fn read_command(
        &mut self,
        position: u64,
        command: u16,
    ) -> Result<RecordedCommand, LedgerFault> {
        let named = self.commands.contains(&(position, command));
        assert!(named, "command {command} of entry {position} isn't among the entry's lookups");
        self.journal.read_command(position, command)
    }

    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
        assert!(self.ids.contains(&id.number()), "{id} isn't among the entry's lookups");
        self.journal.find_sealed(id)
    }
}

fn commands_of(body: &[u8]) -> Vec<(KeyId, Vec<u8>)> {
    let mut body = EntryBody::open(body).unwrap();
    let mut all = Vec::new();
    while let Some(group) = body.next_group().unwrap() {
        all.extend(Commands::new(group.bytes).map(|found| (group.key, found.unwrap().1.to_vec())));
    }
    all
}

/// A ledger and its journal.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
}

impl World {
    /// An empty ledger.
    pub(crate) fn empty() -> Self {
        Self { ledger: Ledger::new(MemoryAdvice::NONE), journal: Journal::default() }
    }

    /// An empty ledger with these hash seeds.
    pub(crate) fn seeded(seeds: [u64; 2]) -> Self {
        Self {
            ledger: Ledger::with_tables(Tables::new(HashSeed::fixed(seeds), MemoryAdvice::NONE)),
            journal: Journal::default(),
        }
    }

    /// A ledger with its genesis, applied at [`T0`].
    pub(crate) fn bootstrapped() -> Self {
        let mut world = Self::empty();
        world.entry(T0, &[Command::Genesis(Box::new(genesis()))]);
        world
    }

    pub(crate) fn next_position(&self) -> u64 {
        u64::try_from(self.journal.entries.len()).unwrap()
    }

    /// Applies an entry in which each command is a group of its own.
    pub(crate) fn entry(&mut self, time: u64, commands: &[Command]) -> Vec<Answer> {
        self.try_body(time, body(commands)).unwrap().1
    }

    /// Applies an entry of one atomic group.
    pub(crate) fn together(&mut self, time: u64, commands: &[Command]) -> Vec<Answer> {
        self.try_body(time, body_of(&[(true, commands.to_vec())])).unwrap().1
    }

    /// The answer to the only command of an entry.
    pub(crate) fn one(&mut self, time: u64, command: &Command) -> Answer {
        let answers = self.entry(time, std::slice::from_ref(command));
        assert_eq!(answers.len(), 1);
        answers[0]
    }

    pub(crate) fn try_body(
        &mut self,
        time: u64,
        body: Vec<u8>,
    ) -> Result<(AppliedCounts, Vec<Answer>), LedgerFault> {
        let head = head(self.next_position(), time);
        let mut answers = Vec::new();
        let mut watched = WatchedJournal::new(&self.ledger, &mut self.journal, &body);
        let applied = self.ledger.apply(&head, &body, &mut watched, &mut answers);
        self.journal.entries.push((head, body));
        let applied = applied?;
        self.journal.index(&self.ledger, head.position);
        Ok((applied, answers))
    }

    /// Applies the next entry of another journal.
    pub(crate) fn step(&mut self, other: &Journal) -> Option<Vec<Answer>> {
        let next = self.ledger.position().map_or(0, |position| position + 1);
        let (head, body) = other.entries.get(usize::try_from(next).unwrap())?;
        let mut answers = Vec::new();
        if body.is_empty() {
            self.ledger.skip_entry(head).unwrap();
        } else {
            self.ledger.apply(head, body, &mut self.journal, &mut answers).unwrap();
        }
        Some(answers)
    }

    /// Forgets all ids in memory, as a start from a checkpoint does.
    pub(crate) fn forget_everything(&mut self) {
        let newest_ms = self.ledger.time() / 1_000 + TOLERANCE_MS;
        self.ledger.tables.recent.forget_before_checkpoint(newest_ms);
    }

    /// An entry without commands.
    pub(crate) fn pass(&mut self, time: u64) {
        let head = head(self.next_position(), time);
        self.ledger.skip_entry(&head).unwrap();
        self.journal.entries.push((head, Vec::new()));
    }

    pub(crate) fn posted(&self, account: AccountId) -> i64 {
        self.ledger.account(account).unwrap().posted
    }

    /// Opens an account at [`T0`].
    pub(crate) fn open(&mut self, account: AccountId, kind: AccountKind, asset: &str) {
        let answer = self.one(T0, &open(account, kind, asset, ""));
        assert_eq!(answer.outcome.rejection, None);
    }
}

/// Judges a command that is the first of its entry, with an empty journal.
pub(crate) fn with_context<T>(
    head: &EntryHead,
    next_index: u16,
    judge: impl FnOnce(&mut CommandContext<'_>) -> T,
) -> T {
    judge(&mut CommandContext {
        entry: CurrentEntry { head, commands: &[&[]] },
        next_index,
        is_alone: true,
        in_group: false,
        merchant: None,
        journal: &mut Journal::default(),
    })
}

pub(crate) fn head(position: u64, time: u64) -> EntryHead {
    let mut link = [0xab; 32];
    link[..8].copy_from_slice(&position.to_le_bytes());
    EntryHead { position, term: 1 + position / 7, time, link }
}

pub(crate) fn body(commands: &[Command]) -> Vec<u8> {
    let groups: Vec<_> = commands.iter().map(|command| (false, vec![command.clone()])).collect();
    body_of(&groups)
}

/// A body of non-atomic groups, each with the key of its caller.
pub(crate) fn body_by(groups: &[(KeyId, &[Command])]) -> Vec<u8> {
    let mut builder = EntryBuilder::new();
    for (key, commands) in groups {
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        builder.push(*key, false, u32::try_from(commands.len()).unwrap(), &bytes);
    }
    builder.finish()
}

/// A body of groups: whether each is atomic, and its commands.
pub(crate) fn body_of(groups: &[(bool, Vec<Command>)]) -> Vec<u8> {
    let mut builder = EntryBuilder::new();
    for (atomic, commands) in groups {
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        builder.push(OPERATOR_KEY, *atomic, u32::try_from(commands.len()).unwrap(), &bytes);
    }
    builder.finish()
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        cluster: ClusterId([7; 16]),
        assets: vec![asset("KRW"), asset("POINT")],
        wallet_max_balance: AMOUNT_MAX,
        id_horizon_ms: HORIZON_MS,
        id_tolerance_ms: TOLERANCE_MS,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [9; 32],
        first_date: BusinessDate::new(2023, 11, 15).unwrap(),
    }
}

pub(crate) fn asset(name: &str) -> Asset {
    Asset::parse(name).unwrap()
}

pub(crate) const fn account(number: u128) -> AccountId {
    AccountId::new(number)
}

/// An id with the time [`T0`] plus this many milliseconds, and a number.
pub(crate) fn id(after_ms: i64, number: u128) -> CommandId {
    let milliseconds = (T0 / 1_000).checked_add_signed(after_ms).unwrap();
    CommandId::from_parts(milliseconds, number)
}

pub(crate) fn open(id: AccountId, kind: AccountKind, asset_name: &str, label: &str) -> Command {
    Command::OpenAccount(OpenAccount {
        id,
        kind,
        asset: asset(asset_name),
        label: Text::new(label).unwrap(),
        limits: Limits::default(),
    })
}

pub(crate) fn transfer(
    id: CommandId,
    kind: TransferKind,
    (debit, credit): (AccountId, AccountId),
    amount: u64,
    asset_name: &str,
) -> Command {
    Command::Transfer(Transfer {
        id,
        debit,
        credit,
        amount: Amount(amount),
        asset: asset(asset_name),
        kind,
        reference: Text::default(),
        memo: Text::default(),
    })
}

/// The code of a new answer.
pub(crate) fn code(answer: &Answer) -> Option<Rejection> {
    assert_eq!(answer.first, None, "not a replay");
    answer.outcome.rejection
}
