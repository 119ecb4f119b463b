//! What was decided before: transfers by id, accounts' histories, and the first answers that apply asks for.
//!
//! Sealed segments are asked through their indexes, open ones through the ledger's memory of recent entries. Commands are
//! always read from the journal: there is no second copy of them.

use std::{ops::Range, sync::Arc};

use evenkeel_storage::journal::{
    Journal, Record,
    index::{Indexes, Located, OutcomeRow},
};
use evenkeel_wire::{
    command::{Command, Commands},
    entry::EntryBody,
    id::{AccountId, CommandId, KeyId},
    outcome::{Outcome, Rejection, Stamp},
    reply::{HistoryPage, Refusal, RefusalCode, TransferView},
    request::Cursor,
    transfer::Transfer,
};

use crate::{
    ledger::{self, FirstAnswers, RecordedCommand, Unwell},
    limits::{HISTORY_PAGE_MAX, READ_BYTES_MAX},
    replication::types::kind,
};

/// The history of one node.
pub struct History {
    journal: Journal,
    indexes: Arc<Indexes>,
}

/// The outcomes of a recent entry, if the ledger remembers it.
pub type Outcomes<'a> = &'a dyn Fn(u64) -> Option<Vec<ledger::Decided>>;

/// Walks over an entry's commands: number, key, command, its bytes.
pub fn commands(
    body: &[u8],
) -> impl Iterator<Item = Result<(u16, KeyId, Command, &[u8]), String>> + '_ {
    let mut groups = EntryBody::open(body).map_err(|error| error.to_string());
    let mut current: Option<(KeyId, Commands<'_>)> = None;
    let mut number: u16 = 0;
    let mut over = false;
    std::iter::from_fn(move || {
        while !over {
            if let Some((key, commands)) = &mut current
                && let Some(next) = commands.next()
            {
                let at = number;
                number += 1;
                let key = *key;
                over = next.is_err();
                return Some(
                    next.map(|(command, bytes)| (at, key, command, bytes))
                        .map_err(|e| e.to_string()),
                );
            }
            let next = match &mut groups {
                Ok(groups) => groups.next_group().map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            match next {
                Ok(Some(group)) => current = Some((group.key, Commands::new(group.bytes))),
                Ok(None) => over = true,
                Err(error) => {
                    over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    })
}

impl History {
    pub fn new(journal: Journal, indexes: Arc<Indexes>) -> Self {
        Self { journal, indexes }
    }

    /// The indexes of the sealed segments.
    pub fn indexes(&self) -> &Arc<Indexes> {
        &self.indexes
    }

    /// What apply asks while it's at the entry `applying`: only what lies before it counts as decided.
    pub fn firsts(&self, applying: u64) -> Firsts<'_> {
        Firsts { history: self, applying, opened: None }
    }

    fn record(&self, position: u64) -> Result<Arc<Record>, String> {
        let records = self
            .journal
            .read(position, position + 1, READ_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        records.into_iter().next().ok_or_else(|| format!("there is no entry {position}"))
    }

    fn command(
        &self,
        position: u64,
        command: u16,
    ) -> Result<(Stamp, KeyId, Command, Vec<u8>), String> {
        let record = self.record(position)?;
        let found = commands(&record.payload)
            .nth(usize::from(command))
            .ok_or_else(|| format!("entry {position} has no command {command}"))?;
        let (_, key, decoded, bytes) = found?;
        Ok((stamp(&record), key, decoded, bytes.to_vec()))
    }

    /// A committed transfer. `recent`: where the ledger's memory has it.
    ///
    /// # Errors
    /// When there is none of this id, or it can't be read.
    pub fn transfer(
        &self,
        id: CommandId,
        recent: Option<(u64, u16, Outcome)>,
    ) -> Result<TransferView, Refusal> {
        let not_found = || Refusal::new(RefusalCode::NotFound, &format!("no transfer {id}"));
        let (position, command, outcome) = match recent {
            Some(found) => found,
            None => self
                .indexes
                .find(id.number())
                .map_err(|error| Refusal::new(RefusalCode::Recovering, &error.to_string()))?
                .map(located)
                .ok_or_else(not_found)?,
        };
        if outcome.rejection.is_some() {
            return Err(not_found());
        }
        let (stamp, _, command, _) = self.command(position, command).map_err(|e| unreadable(&e))?;
        match command {
            Command::Transfer(transfer) => {
                Ok(TransferView { transfer, stamp, index: outcome.index })
            }
            _ => Err(not_found()),
        }
    }

    /// A page of an account's committed transfers, newest first.
    ///
    /// # Errors
    /// When they can't be read, or an index is being rebuilt.
    pub fn page(
        &self,
        account: AccountId,
        limit: u32,
        before: Option<Cursor>,
        newest: Option<u64>,
        outcomes: Outcomes<'_>,
    ) -> Result<HistoryPage, Refusal> {
        let limit = usize::try_from(limit.clamp(1, HISTORY_PAGE_MAX)).unwrap_or(1);
        // One more than asked for tells whether there is a next page.
        let mut items = self
            .recent_page(account, limit + 1, before, newest, outcomes)
            .map_err(|error| unreadable(&error))?;
        let mut older = before;
        if let Some((cursor, _)) = items.last() {
            older = Some(*cursor);
        }
        while items.len() <= limit {
            let wanted = limit + 1 - items.len();
            let place = older.map(|cursor| (cursor.position, cursor.command));
            let found = self
                .indexes
                .history(account.number(), place, wanted)
                .map_err(|error| Refusal::new(RefusalCode::Recovering, &error.to_string()))?;
            let Some(last) = found.last() else { break };
            older = Some(Cursor { position: last.position, command: last.command });
            for place in found {
                let (position, command, outcome) = located(place);
                if outcome.rejection.is_none()
                    && let Some(view) =
                        self.view(position, command, outcome).map_err(|e| unreadable(&e))?
                {
                    items.push((Cursor { position, command }, view));
                }
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|(cursor, _)| *cursor) } else { None };
        Ok(HistoryPage { items: items.into_iter().map(|(_, view)| view).collect(), next })
    }

    fn view(
        &self,
        position: u64,
        command: u16,
        outcome: Outcome,
    ) -> Result<Option<TransferView>, String> {
        let (stamp, _, command, _) = self.command(position, command)?;
        Ok(match command {
            Command::Transfer(transfer) => {
                Some(TransferView { transfer, stamp, index: outcome.index })
            }
            _ => None,
        })
    }

    /// From the entries that no index covers yet, newest first.
    fn recent_page(
        &self,
        account: AccountId,
        wanted: usize,
        before: Option<Cursor>,
        newest: Option<u64>,
        outcomes: Outcomes<'_>,
    ) -> Result<Vec<(Cursor, TransferView)>, String> {
        let Some(newest) = newest else { return Ok(Vec::new()) };
        let first = self.indexes.last().map_or(0, |last| last + 1);
        let end = before.map_or(newest + 1, |cursor| (cursor.position + 1).min(newest + 1));
        let mut found = Vec::new();
        let mut next = first;
        while next < end {
            let records =
                self.journal.read(next, end, READ_BYTES_MAX).map_err(|e| e.to_string())?;
            let Some(last) = records.last() else { break };
            next = last.position + 1;
            for record in records.iter().filter(|record| record.kind == kind::COMMANDS) {
                self.of_account(record, account, before, outcomes, &mut found)?;
                // Only the newest ones are wanted.
                if found.len() > wanted * 4 {
                    found.drain(..found.len() - wanted);
                }
            }
        }
        found.reverse();
        found.truncate(wanted);
        Ok(found)
    }

    fn of_account(
        &self,
        record: &Record,
        account: AccountId,
        before: Option<Cursor>,
        outcomes: Outcomes<'_>,
        found: &mut Vec<(Cursor, TransferView)>,
    ) -> Result<(), String> {
        let mut decided = None;
        for next in commands(&record.payload) {
            let (number, _, command, _) = next?;
            let Command::Transfer(transfer) = command else { continue };
            let cursor = Cursor { position: record.position, command: number };
            if !concerns(&transfer, account) || before.is_some_and(|before| cursor >= before) {
                continue;
            }
            let decided =
                decided.get_or_insert_with(|| outcomes(record.position).unwrap_or_default());
            if let Some(outcome) = decided.get(usize::from(number))
                && !outcome.replayed
                && outcome.outcome.rejection.is_none()
            {
                let index = outcome.outcome.index;
                found.push((cursor, TransferView { transfer, stamp: stamp(record), index }));
            }
        }
        Ok(())
    }
}

fn concerns(transfer: &Transfer, account: AccountId) -> bool {
    transfer.debit == account || transfer.credit == account
}

fn unreadable(error: &str) -> Refusal {
    Refusal::new(RefusalCode::Recovering, error)
}

/// Where a record's outcomes were decided.
pub fn stamp(record: &Record) -> Stamp {
    Stamp {
        position: record.position,
        term: record.term,
        recorded_at: record.time,
        link: record.link.0,
    }
}

fn located(place: Located) -> (u64, u16, Outcome) {
    (place.position, place.command, outcome_from_row(&place.outcome))
}

/// A row's flag: the outcome is the first answer to the command's id again.
pub const REPLAYED: u8 = 1;

/// How an outcome stands in an index.
pub fn outcome_to_row(decided: &ledger::Decided) -> OutcomeRow {
    OutcomeRow {
        code: decided.outcome.rejection.map_or(0, Rejection::byte),
        flags: if decided.replayed { REPLAYED } else { 0 },
        index: decided.outcome.index,
        debit_after: decided.outcome.debit_after,
        credit_after: decided.outcome.credit_after,
    }
}

fn outcome_from_row(row: &OutcomeRow) -> Outcome {
    let rejection = if row.code == 0 {
        None
    } else {
        let known = Rejection::from_byte(row.code);
        Some(known.expect("an index is checksummed, and made by this program or an older one"))
    };
    Outcome {
        index: row.index,
        rejection,
        debit_after: row.debit_after,
        credit_after: row.credit_after,
    }
}

/// The history as apply sees it: facts, the same on every node.
pub struct Firsts<'a> {
    history: &'a History,
    applying: u64,
    /// The entry that was asked about last: whoever retries a batch asks for its commands one after the other.
    opened: Option<OpenedEntry>,
}

/// An entry of commands, with the place of each.
struct OpenedEntry {
    record: Arc<Record>,
    commands: Vec<(KeyId, Range<usize>)>,
}

impl OpenedEntry {
    fn new(record: Arc<Record>) -> Result<Self, String> {
        let start = record.payload.as_ptr().addr();
        let mut places = Vec::new();
        for next in commands(&record.payload) {
            let (_, key, _, bytes) = next?;
            let at = bytes.as_ptr().addr() - start;
            places.push((key, at..at + bytes.len()));
        }
        Ok(Self { record, commands: places })
    }
}

impl Firsts<'_> {
    fn entry(&mut self, position: u64) -> Result<&OpenedEntry, String> {
        let opened = match self.opened.take() {
            Some(opened) if opened.record.position == position => opened,
            _ => OpenedEntry::new(self.history.record(position)?)?,
        };
        Ok(self.opened.insert(opened))
    }
}

impl FirstAnswers for Firsts<'_> {
    fn recorded(&mut self, position: u64, command: u16) -> Result<RecordedCommand, Unwell> {
        let entry = self.entry(position).map_err(Unwell::new)?;
        let (key, place) = entry
            .commands
            .get(usize::from(command))
            .ok_or_else(|| Unwell::new(format!("entry {position} has no command {command}")))?;
        let bytes = entry.record.payload[place.clone()].to_vec();
        Ok(RecordedCommand { stamp: stamp(&entry.record), bytes, key: *key })
    }

    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, Unwell> {
        let found = self.history.indexes.find(id.number());
        let found = found.map_err(|error| {
            Unwell::new(format!(
                "{error}, and this entry can't be applied without it; start again: the journal has what it takes"
            ))
        })?;
        Ok(found.filter(|found| found.position < self.applying).map(located))
    }
}
