//! The recent index: for the entries that no index file covers yet, each command's location, and
//! each account's movements as a chain from the newest back.
//!
//! Each entry is added once, after it's applied: mostly by the keeper, the last few by callers.
//! Bounded by the unsealed part of the journal: entries that an index file covers are dropped. It's
//! never written to disk.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use evenkeel_storage::journal::{Part, Record};
use evenkeel_wire::{id::AccountId, request::Cursor};

use super::record_kind;
use super::{
    HistoryError,
    history_reader::HistoryReader,
    walk::{decode_commands, range_in_body},
};

/// How much of the journal is added between two checks for sealed segments.
const CHUNK_BYTES: usize = 256 << 10;

/// The notes behind their locks. `notes` is never held during calls to the ledger or the disk:
/// apply locks it while it holds the ledger.
#[derive(Default)]
pub(crate) struct RecentIndex {
    following: Mutex<()>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The first entry that isn't added yet.
    next: u64,
    entries: VecDeque<NotedEntry>,
    /// The ordinal of the first command. Ordinals only grow.
    first: u64,
    commands: VecDeque<NotedCommand>,
    /// Each account's newest movement.
    newest: HashMap<AccountId, MovementRef>,
}

struct NotedEntry {
    position: u64,
    /// The ordinal of its first command.
    first: u64,
}

struct NotedCommand {
    part: Part,
    /// The distance to the debit account's previous movement, then to the credit account's.
    before: [BackLink; 2],
}

/// A movement, and the account's side of it.
#[derive(Clone, Copy)]
struct MovementRef {
    ordinal: u64,
    side: usize,
}

/// A link to the previous movement of an account: twice the distance, plus the side. 0: there's
/// none.
#[derive(Clone, Copy, Default)]
struct BackLink(u32);

impl BackLink {
    fn new(from: u64, to: Option<MovementRef>) -> Self {
        let way = to.and_then(|to| {
            let distance = u32::try_from(from - to.ordinal).ok()?;
            distance.checked_mul(2)?.checked_add(u32::try_from(to.side).ok()?)
        });
        Self(way.unwrap_or(0))
    }

    fn target_from(self, from: u64) -> Option<MovementRef> {
        let (distance, side) = (u64::from(self.0 / 2), usize::try_from(self.0 % 2).ok()?);
        (distance > 0).then(|| MovementRef { ordinal: from - distance, side })
    }
}

impl HistoryReader<'_> {
    /// Adds applied entries, about `bytes_max` of them. Returns whether more are left.
    ///
    /// # Errors
    /// When an entry can't be read.
    pub fn update_recent_index(&self, bytes_max: usize) -> Result<bool, HistoryError> {
        match self.ledger.position() {
            Some(newest) => self.history.recents.catch_up_to(self, newest, bytes_max),
            None => Ok(false),
        }
    }
}

impl RecentIndex {
    fn lock_notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command's location, if it's in here.
    pub(crate) fn part(&self, position: u64, command: u16) -> Option<Part> {
        self.lock_notes().part(position, command)
    }

    /// An account's movements before a cursor, newest first, at most `wanted`.
    pub(crate) fn account_movements(
        &self,
        account: AccountId,
        before: Option<Cursor>,
        wanted: usize,
    ) -> Vec<(Cursor, Part)> {
        self.lock_notes().account_movements(account, before, wanted)
    }

    /// Adds entries up to `newest`, about `bytes_max` of them, and drops the ones that an index
    /// covers. Returns whether more are left.
    fn catch_up_to(
        &self,
        past: &HistoryReader<'_>,
        newest: u64,
        bytes_max: usize,
    ) -> Result<bool, HistoryError> {
        let _turn = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = bytes_max;
        loop {
            let sealed = past.history.indexes.last_position();
            let next = self.lock_notes().drop_sealed(sealed);
            if next > newest {
                return Ok(false);
            }
            if left == 0 {
                return Ok(true);
            }
            let chunk = left.min(CHUNK_BYTES);
            let records = past.history.journal.read(next, newest + 1, chunk)?;
            if records.is_empty() {
                return Err(HistoryError::new(format!("there is no entry {next}")));
            }
            for record in &records {
                let noted = noted_commands(past, record)?;
                let Some(noted) = noted else { break };
                self.lock_notes().push(record.position, noted);
                // Reading an entry without commands has a cost, too.
                left = left.saturating_sub(record.payload.len() + 64);
            }
        }
    }
}

type CommandNote = (Part, Option<(AccountId, AccountId)>);

/// An entry's commands; `None`: its outcomes have left memory, so an index covers it.
fn noted_commands(
    past: &HistoryReader<'_>,
    record: &Record,
) -> Result<Option<Vec<CommandNote>>, HistoryError> {
    if record.kind != record_kind::COMMANDS {
        return Ok(Some(Vec::new()));
    }
    let position = record.position;
    let Some(decided) = past.ledger.outcomes_of(position) else {
        if past.history.indexes.last_position() >= Some(position) {
            return Ok(None);
        }
        return Err(HistoryError::new(format!(
            "the outcomes of entry {position} aren't in memory any more"
        )));
    };
    let mut noted = Vec::with_capacity(decided.len());
    for (next, decided) in decode_commands(&record.payload).zip(&decided) {
        let (_, command, bytes) = next.map_err(HistoryError::new)?;
        let parties = past.parties_if_moved(&command, decided)?;
        noted.push((Part::of_record(record, range_in_body(bytes, &record.payload)), parties));
    }
    Ok(Some(noted))
}

impl Notes {
    /// Drops the entries up to `sealed`, and returns the next entry to add.
    fn drop_sealed(&mut self, sealed: Option<u64>) -> u64 {
        let Some(sealed) = sealed else { return self.next };
        self.next = self.next.max(sealed + 1);
        let dropped = self.entries.partition_point(|entry| entry.position <= sealed);
        if dropped == 0 {
            return self.next;
        }
        self.entries.drain(..dropped);
        let end = self.end();
        let first = self.entries.front().map_or(end, |entry| entry.first);
        let commands = usize::try_from(first - self.first).unwrap_or(usize::MAX);
        self.commands.drain(..commands);
        self.first = first;
        self.newest.retain(|_, newest| newest.ordinal >= first);
        // Gives back the memory of a burst.
        self.newest.shrink_to(self.newest.len().saturating_mul(2));
        self.commands.shrink_to(self.commands.len().saturating_mul(2));
        self.next
    }

    fn push(&mut self, position: u64, noted: Vec<CommandNote>) {
        let first = self.end();
        self.entries.push_back(NotedEntry { position, first });
        self.next = position + 1;
        for (ordinal, (part, parties)) in (first..).zip(noted) {
            let mut before = [BackLink::default(); 2];
            if let Some((debit, credit)) = parties {
                for (side, account) in [debit, credit].into_iter().enumerate() {
                    let older = self.newest.insert(account, MovementRef { ordinal, side });
                    before[side] = BackLink::new(ordinal, older);
                }
            }
            self.commands.push_back(NotedCommand { part, before });
        }
    }

    /// The ordinal after the last command.
    fn end(&self) -> u64 {
        self.first + u64::try_from(self.commands.len()).unwrap_or(u64::MAX)
    }

    fn command(&self, ordinal: u64) -> Option<&NotedCommand> {
        self.commands.get(usize::try_from(ordinal.checked_sub(self.first)?).ok()?)
    }

    /// The ordinals of an entry's commands: the first, and the one after the last.
    fn ordinals(&self, position: u64) -> Option<(u64, u64)> {
        let at = self.entries.binary_search_by_key(&position, |entry| entry.position).ok()?;
        let end = self.entries.get(at + 1).map_or(self.end(), |next| next.first);
        Some((self.entries[at].first, end))
    }

    fn part(&self, position: u64, command: u16) -> Option<Part> {
        let (first, end) = self.ordinals(position)?;
        let ordinal = first + u64::from(command);
        if ordinal < end { self.command(ordinal).map(|noted| noted.part) } else { None }
    }

    /// The first ordinal that isn't before the cursor.
    fn end_before(&self, before: Option<Cursor>) -> u64 {
        let Some(Cursor { position, command }) = before else { return self.end() };
        if let Some((first, end)) = self.ordinals(position) {
            return (first + u64::from(command)).min(end);
        }
        let later = self.entries.partition_point(|entry| entry.position < position);
        self.entries.get(later).map_or(self.end(), |entry| entry.first)
    }

    fn cursor(&self, ordinal: u64) -> Option<Cursor> {
        let after = self.entries.partition_point(|entry| entry.first <= ordinal);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        let command = u16::try_from(ordinal - entry.first).ok()?;
        Some(Cursor { position: entry.position, command })
    }

    fn account_movements(
        &self,
        account: AccountId,
        before: Option<Cursor>,
        wanted: usize,
    ) -> Vec<(Cursor, Part)> {
        let end = self.end_before(before);
        let mut found = Vec::new();
        let mut next = self.newest.get(&account).copied();
        while let Some(MovementRef { ordinal, side }) = next
            && found.len() < wanted
            && let Some(noted) = self.command(ordinal)
        {
            if ordinal < end
                && let Some(cursor) = self.cursor(ordinal)
            {
                found.push((cursor, noted.part));
            }
            next = noted.before[side].target_from(ordinal);
        }
        found
    }
}
