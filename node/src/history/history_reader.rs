//! Reads everything that was decided, from the history and from the ledger's memory of recent
//! entries. It never changes either.

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

use super::{History, HistoryError, command_reader::CommandReader, rows};
use evenkeel_ledger::{DecidedOutcome, OpenHold};

/// Single reads of the ledger, which remembers everything that no index covers yet.
pub trait ReadLedger: Sync {
    /// The newest entry that is applied.
    fn position(&self) -> Option<u64>;
    /// Position, command number and outcome of the first answer to an id.
    fn first_answer(&self, id: CommandId) -> Option<(u64, u16, Outcome)>;
    /// The outcomes of a recent entry, one for each command.
    fn outcomes_of(&self, position: u64) -> Option<Vec<DecidedOutcome>>;
    /// The outcome of one command of a recent entry.
    fn outcome_of(&self, position: u64, command: u16) -> Option<DecidedOutcome>;
    /// Position and number of the command that closed a hold.
    fn hold_resolution(&self, hold: CommandId) -> Option<(u64, u16)>;
    /// A hold if it's open, and the ledger's time.
    fn open_hold(&self, id: CommandId) -> (Option<OpenHold>, u64);
    /// The current state of an account.
    fn account(&self, id: AccountId) -> Option<AccountView>;
    /// The report of a closed day.
    fn closed_day(&self, date: BusinessDate) -> Option<DayView>;
    /// For each movement: the sum of its refunds, and its reversal.
    fn paid_back(&self, movements: &[CommandId]) -> Vec<(u64, Option<CommandId>)>;
}

/// A command, its outcome, and where it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedCommand {
    pub stamp: Stamp,
    pub command: Command,
    pub outcome: Outcome,
}

/// A reader for one query: it keeps the entries that it read last.
pub struct HistoryReader<'a> {
    pub(crate) history: &'a History,
    pub(crate) ledger: &'a dyn ReadLedger,
    pub(crate) reader: RefCell<CommandReader<'a>>,
}

impl<'a> HistoryReader<'a> {
    pub fn new(history: &'a History, ledger: &'a dyn ReadLedger) -> Self {
        Self { history, ledger, reader: RefCell::new(CommandReader::new(history)) }
    }

    /// The command that was decided first with an id.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find_command(&self, id: CommandId) -> Result<Option<DecidedCommand>, HistoryError> {
        // Memory first: what leaves it is already in an index.
        if let Some((position, number, outcome)) = self.ledger.first_answer(id) {
            return self.read_decided(position, number, outcome).map(Some);
        }
        let Some(found) = self.history.indexes.find(id.number())? else { return Ok(None) };
        let (position, number, outcome) = rows::located_outcome(&found);
        self.read_decided_at(position, number, outcome, &found.part).map(Some)
    }

    /// The same, if it was committed.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find_committed(&self, id: CommandId) -> Result<Option<DecidedCommand>, HistoryError> {
        Ok(self.find_command(id)?.filter(|told| told.outcome.rejection.is_none()))
    }

    /// The command that closed a hold, which was opened in the entry at `from`.
    pub(crate) fn find_resolution(
        &self,
        hold: CommandId,
        from: u64,
    ) -> Result<Option<DecidedCommand>, HistoryError> {
        if let Some((position, number)) = self.ledger.hold_resolution(hold) {
            let decided = self.command_outcome(position, number)?;
            return self.read_decided(position, number, decided.outcome).map(Some);
        }
        let found = self.history.indexes.find_alias(rows::resolution_id(hold), from)?;
        let Some(found) = found else { return Ok(None) };
        let (position, number, outcome) = rows::located_outcome(&found);
        self.read_decided_at(position, number, outcome, &found.part).map(Some)
    }

    /// The outcome of each command of an entry.
    pub(crate) fn entry_outcomes(
        &self,
        position: u64,
    ) -> Result<Vec<DecidedOutcome>, HistoryError> {
        if let Some(remembered) = self.ledger.outcomes_of(position) {
            return Ok(remembered);
        }
        let rows = self.history.indexes.outcomes(position)?;
        let rows = rows.ok_or_else(|| outcomes_forgotten(position))?;
        Ok(rows.iter().map(rows::outcome_from_row).collect())
    }

    /// The outcome of one command.
    pub(crate) fn command_outcome(
        &self,
        position: u64,
        number: u16,
    ) -> Result<DecidedOutcome, HistoryError> {
        if let Some(remembered) = self.ledger.outcome_of(position, number) {
            return Ok(remembered);
        }
        let found = self.history.indexes.command(position, number)?;
        found
            .map(|found| rows::outcome_from_row(&found.outcome))
            .ok_or_else(|| outcomes_forgotten(position))
    }

    pub(crate) fn read_decided(
        &self,
        position: u64,
        number: u16,
        outcome: Outcome,
    ) -> Result<DecidedCommand, HistoryError> {
        let (stamp, bytes) = self.reader.borrow_mut().read_command(position, number)?;
        decode_decided(stamp, number, &bytes, outcome)
    }

    pub(crate) fn read_decided_at(
        &self,
        position: u64,
        number: u16,
        outcome: Outcome,
        part: &Part,
    ) -> Result<DecidedCommand, HistoryError> {
        let (stamp, bytes) = self.reader.borrow_mut().read_command_at(position, number, part)?;
        decode_decided(stamp, number, &bytes, outcome)
    }
}

fn decode_decided(
    stamp: Stamp,
    number: u16,
    bytes: &[u8],
    outcome: Outcome,
) -> Result<DecidedCommand, HistoryError> {
    let position = stamp.position;
    let command = codec::decode(bytes).map_err(|error| {
        HistoryError::new(format!("entry {position}, command {number}: {error}"))
    })?;
    Ok(DecidedCommand { stamp, command, outcome })
}

fn outcomes_forgotten(position: u64) -> HistoryError {
    HistoryError::new(format!("the outcomes of entry {position} aren't in memory any more"))
}
