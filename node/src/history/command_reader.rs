//! Reads single commands from the journal: by the location in an index or in the recent index,
//! otherwise by decoding the whole entry. It never returns bytes from an unchecked record.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use evenkeel_storage::journal::{Part, PartReader, Record};
use evenkeel_wire::outcome::Stamp;

use super::{
    History, HistoryError,
    walk::{decode_commands, range_in_body, stamp},
};
use crate::limits::READ_BYTES_MAX;

/// Reads commands; fastest when neighbouring entries are read one after the other.
pub(crate) struct CommandReader<'a> {
    history: &'a History,
    parts: PartReader,
    /// The entries that were decoded last, newest last, because nearby reads often share an entry.
    /// A batch of refunds reads its own entry and the payments' entry in turns.
    opened: Vec<OpenedEntry>,
}

/// The most entries kept decoded.
const OPENED_MAX: usize = 4;

/// A decoded entry, with the range of each command.
struct OpenedEntry {
    record: Arc<Record>,
    commands: Vec<Range<usize>>,
}

impl<'a> CommandReader<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        Self { history, parts: history.journal.part_reader(), opened: Vec::new() }
    }

    /// An encoded command, and where it was decided.
    ///
    /// # Errors
    /// When it can't be read, or an index is being rebuilt.
    pub(crate) fn read_command(
        &mut self,
        position: u64,
        number: u16,
    ) -> Result<(Stamp, Bytes), HistoryError> {
        // While an index is rebuilt, the journal itself still has the command.
        let sealed = self.history.indexes.command(position, number).ok().flatten();
        match sealed.map(|found| found.part) {
            Some(part) => self.read_command_at(position, number, &part),
            None => self.read_unsealed(position, number),
        }
    }

    /// The same, for a command that no index locates.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn read_unsealed(
        &mut self,
        position: u64,
        number: u16,
    ) -> Result<(Stamp, Bytes), HistoryError> {
        match self.history.recents.part(position, number) {
            Some(part) => self.read_command_at(position, number, &part),
            None => self.read_from_whole_entry(position, number),
        }
    }

    /// The same, for a known location.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn read_command_at(
        &mut self,
        position: u64,
        number: u16,
        part: &Part,
    ) -> Result<(Stamp, Bytes), HistoryError> {
        match self.parts.read(position, part) {
            Ok(record) => Ok((stamp(&record), record.payload)),
            // Reading the whole record verifies it: it's good, or the error says what is wrong.
            Err(_) => self.read_from_whole_entry(position, number),
        }
    }

    fn read_from_whole_entry(
        &mut self,
        position: u64,
        number: u16,
    ) -> Result<(Stamp, Bytes), HistoryError> {
        let open = self.opened.iter().position(|opened| opened.record.position == position);
        let opened = match open {
            Some(at) => self.opened.remove(at),
            None => OpenedEntry::new(self.history.read_record(position)?)?,
        };
        if self.opened.len() == OPENED_MAX {
            self.opened.remove(0);
        }
        self.opened.push(opened);
        let opened = self.opened.last().expect("just pushed");
        let place = opened.commands.get(usize::from(number));
        let place = place.ok_or_else(|| {
            HistoryError::new(format!("entry {position} has no command {number}"))
        })?;
        Ok((stamp(&opened.record), opened.record.payload.slice(place.clone())))
    }
}

impl OpenedEntry {
    fn new(record: Arc<Record>) -> Result<Self, HistoryError> {
        let place = |next: Result<(u16, _, &[u8]), String>| {
            next.map(|(_, _, bytes)| range_in_body(bytes, &record.payload))
        };
        let places = decode_commands(&record.payload).map(place).collect::<Result<_, _>>();
        Ok(Self { commands: places.map_err(HistoryError::new)?, record })
    }
}

impl History {
    /// A whole entry.
    fn read_record(&self, position: u64) -> Result<Arc<Record>, HistoryError> {
        let records = self.journal.read(position, position + 1, READ_BYTES_MAX)?;
        records
            .into_iter()
            .next()
            .ok_or_else(|| HistoryError::new(format!("there is no entry {position}")))
    }
}
