//! The history and what the ledger remembers, taken together: everything that was decided.

use std::cell::RefCell;

use evenkeel_storage::journal::Part;
use evenkeel_wire::{
    codec,
    command::Command,
    day::BusinessDate,
    id::{AccountId, CommandId},
    outcome::{Outcome, Stamp},
    reply::{AccountView, DayView},
};

use super::{History, Lost, command_reader::Reader, rows};
use evenkeel_ledger::{Decided, OpenHold};

/// What the ledger knows, one look at a time. What no index covers yet, it remembers.
pub trait Remembers: Sync {
    /// The newest entry that is applied.
    fn position(&self) -> Option<u64>;
    /// Position, command's number and outcome of the first answer to an id.
    fn first_answer(&self, id: CommandId) -> Option<(u64, u16, Outcome)>;
    /// The outcomes of a recent entry, one for each command.
    fn outcomes_of(&self, position: u64) -> Option<Vec<Decided>>;
    /// The outcome of one command of a recent entry.
    fn outcome_of(&self, position: u64, command: u16) -> Option<Decided>;
    /// Position and command's number of what closed a hold.
    fn resolution(&self, hold: CommandId) -> Option<(u64, u16)>;
    /// A hold while it's open, and the ledger's time.
    fn open_hold(&self, id: CommandId) -> (Option<OpenHold>, u64);
    /// An account as it stands.
    fn account(&self, id: AccountId) -> Option<AccountView>;
    /// The report of a closed day.
    fn day(&self, date: BusinessDate) -> Option<DayView>;
    /// For each movement: what its refunds have paid back, and what reversed it.
    fn paid_back(&self, movements: &[CommandId]) -> Vec<(u64, Option<CommandId>)>;
}

/// A command, what came of it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub stamp: Stamp,
    pub command: Command,
    pub outcome: Outcome,
}

/// Everything that was decided. For one question: it keeps open what it read last.
pub struct Past<'a> {
    pub(crate) history: &'a History,
    pub(crate) ledger: &'a dyn Remembers,
    reader: RefCell<Reader<'a>>,
}

impl<'a> Past<'a> {
    pub fn new(history: &'a History, ledger: &'a dyn Remembers) -> Self {
        Self { history, ledger, reader: RefCell::new(Reader::new(history)) }
    }

    /// The command that was decided first under an id.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn find(&self, id: CommandId) -> Result<Option<Told>, Lost> {
        // Memory first: what leaves it is in an index by then.
        if let Some((position, number, outcome)) = self.ledger.first_answer(id) {
            return self.told(position, number, outcome).map(Some);
        }
        let Some(found) = self.history.indexes.find(id.number())? else { return Ok(None) };
        let (position, number, outcome) = rows::located(&found);
        self.told_at(position, number, outcome, &found.part).map(Some)
    }

    /// The same, if it was committed.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn find_committed(&self, id: CommandId) -> Result<Option<Told>, Lost> {
        Ok(self.find(id)?.filter(|told| told.outcome.rejection.is_none()))
    }

    /// What closed a hold that was taken up in the entry at `from`.
    pub(crate) fn find_resolution(&self, hold: CommandId, from: u64) -> Result<Option<Told>, Lost> {
        if let Some((position, number)) = self.ledger.resolution(hold) {
            let decided = self.decided(position, number)?;
            return self.told(position, number, decided.outcome).map(Some);
        }
        let found = self.history.indexes.find_from(rows::resolution_id(hold), from)?;
        let Some(found) = found else { return Ok(None) };
        let (position, number, outcome) = rows::located(&found);
        self.told_at(position, number, outcome, &found.part).map(Some)
    }

    /// What came of each command of an entry of commands.
    pub(crate) fn outcomes(&self, position: u64) -> Result<Vec<Decided>, Lost> {
        if let Some(remembered) = self.ledger.outcomes_of(position) {
            return Ok(remembered);
        }
        let rows = self.history.indexes.outcomes(position)?;
        let rows = rows.ok_or_else(|| forgotten(position))?;
        Ok(rows.iter().map(rows::decided).collect())
    }

    /// What came of one command.
    pub(crate) fn decided(&self, position: u64, number: u16) -> Result<Decided, Lost> {
        if let Some(remembered) = self.ledger.outcome_of(position, number) {
            return Ok(remembered);
        }
        let found = self.history.indexes.command(position, number)?;
        found.map(|found| rows::decided(&found.outcome)).ok_or_else(|| forgotten(position))
    }

    pub(crate) fn told(&self, position: u64, number: u16, outcome: Outcome) -> Result<Told, Lost> {
        let (stamp, bytes) = self.reader.borrow_mut().command(position, number)?;
        told(stamp, number, &bytes, outcome)
    }

    pub(crate) fn told_at(
        &self,
        position: u64,
        number: u16,
        outcome: Outcome,
        part: &Part,
    ) -> Result<Told, Lost> {
        let (stamp, bytes) = self.reader.borrow_mut().command_at(position, number, part)?;
        told(stamp, number, &bytes, outcome)
    }
}

fn told(stamp: Stamp, number: u16, bytes: &[u8], outcome: Outcome) -> Result<Told, Lost> {
    let position = stamp.position;
    let command = codec::decode(bytes)
        .map_err(|error| Lost::new(format!("entry {position}, command {number}: {error}")))?;
    Ok(Told { stamp, command, outcome })
}

fn forgotten(position: u64) -> Lost {
    Lost::new(format!("the outcomes of entry {position} are forgotten"))
}
