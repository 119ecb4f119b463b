//! The history as apply sees it: facts, the same on every node.

use evenkeel_wire::{id::CommandId, outcome::Outcome};

use super::{History, command_reader::Reader, rows::located};
use evenkeel_ledger::{FirstAnswers, RecordedCommand, Unwell};

/// Answers apply, which is at one entry: only what lies before it counts as decided.
pub struct Firsts<'a> {
    history: &'a History,
    reader: Reader<'a>,
    applying: u64,
}

impl<'a> Firsts<'a> {
    pub(crate) fn new(history: &'a History, applying: u64) -> Self {
        Self { history, reader: Reader::new(history), applying }
    }
}

impl FirstAnswers for Firsts<'_> {
    fn recorded(&mut self, position: u64, command: u16) -> Result<RecordedCommand, Unwell> {
        let read = self.reader.command(position, command);
        let (stamp, bytes) = read.map_err(|lost| Unwell::new(lost.to_string()))?;
        Ok(RecordedCommand { stamp, bytes: bytes.into() })
    }

    fn find_sealed(&mut self, id: CommandId) -> Result<Option<(u64, u16, Outcome)>, Unwell> {
        let found = self.history.indexes.find(id.number());
        let found = found.map_err(|error| {
            Unwell::new(format!(
                "{error}, and this entry can't be applied without it; start again: the journal has what it takes"
            ))
        })?;
        Ok(found.filter(|found| found.position < self.applying).as_ref().map(located))
    }
}
