//! The history as apply reads it: facts that are the same on every node. What was resolved before
//! is in memory; anything else is read from files here and now. It never shows what lies at or
//! after the entry being applied.

use evenkeel_wire::{id::CommandId, outcome::Outcome};

use super::{History, ResolvedLookups, command_reader::CommandReader, rows::located_outcome};
use evenkeel_ledger::{JournalLookup, LedgerFault, RecordedCommand};

/// Lookups of apply at one entry: only earlier entries count as decided.
pub struct HistoryLookup<'a> {
    history: &'a History,
    reader: CommandReader<'a>,
    applying: u64,
    resolved: ResolvedLookups,
}

impl<'a> HistoryLookup<'a> {
    pub(crate) fn new(history: &'a History, applying: u64, resolved: ResolvedLookups) -> Self {
        Self { history, reader: CommandReader::new(history), applying, resolved }
    }
}

impl JournalLookup for HistoryLookup<'_> {
    fn read_command(
        &mut self,
        position: u64,
        command: u16,
    ) -> Result<RecordedCommand, LedgerFault> {
        if let Some(resolved) = self.resolved.commands.get(&(position, command)) {
            return Ok(resolved.clone());
        }
        let read = self.reader.read_command(position, command);
        let (stamp, bytes) = read.map_err(|lost| LedgerFault::new(lost.to_string()))?;
        Ok(RecordedCommand { stamp, bytes: bytes.into() })
    }

    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, LedgerFault> {
        if let Some(resolved) = self.resolved.ids.get(&id) {
            return Ok(resolved.filter(|(position, ..)| *position < self.applying));
        }
        let found = self.history.indexes.find(id.number());
        let found = found.map_err(|error| {
            LedgerFault::until_restart(format!(
                "{error}, and this entry can't be applied without it; start again: the journal is complete"
            ))
        })?;
        Ok(found.filter(|found| found.position < self.applying).as_ref().map(located_outcome))
    }
}
