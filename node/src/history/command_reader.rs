//! Reads single commands back from the journal: by the place that an index or the notes of recent entries have of them,
//! else out of the whole entry.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use evenkeel_storage::journal::{Part, Parts, Record};
use evenkeel_wire::outcome::Stamp;

use super::{
    History, Lost,
    walk::{commands, place_of, stamp},
};
use crate::limits::READ_BYTES_MAX;

/// Reads commands; best those of neighbouring entries one after the other.
pub(crate) struct Reader<'a> {
    history: &'a History,
    parts: Parts,
    /// The entries that were read whole last, newest last: whoever asks for one of their commands soon asks for another. A
    /// batch of refunds asks for one of its own and one of the payments', by turns.
    opened: Vec<OpenedEntry>,
}

/// How many entries are kept open.
const OPENED_MAX: usize = 4;

/// An entry of commands, with the place of each.
struct OpenedEntry {
    record: Arc<Record>,
    commands: Vec<Range<usize>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        Self { history, parts: history.journal.parts(), opened: Vec::new() }
    }

    /// A command as it was encoded, and where it was decided.
    ///
    /// # Errors
    /// When it can't be read, or an index is being rebuilt.
    pub(crate) fn command(&mut self, position: u64, number: u16) -> Result<(Stamp, Bytes), Lost> {
        // While an index is rebuilt the journal itself still tells.
        let sealed = self.history.indexes.command(position, number).ok().flatten();
        let part = sealed.map(|found| found.part);
        match part.or_else(|| self.history.recents.part(position, number)) {
            Some(part) => self.command_at(position, number, &part),
            None => self.out_of_whole(position, number),
        }
    }

    /// The same, where its place is known.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn command_at(
        &mut self,
        position: u64,
        number: u16,
        part: &Part,
    ) -> Result<(Stamp, Bytes), Lost> {
        match self.parts.read(position, part) {
            Ok(record) => Ok((stamp(&record), record.payload)),
            // A whole record checks itself: either it's good, or it says what is wrong.
            Err(_) => self.out_of_whole(position, number),
        }
    }

    fn out_of_whole(&mut self, position: u64, number: u16) -> Result<(Stamp, Bytes), Lost> {
        let open = self.opened.iter().position(|opened| opened.record.position == position);
        let opened = match open {
            Some(at) => self.opened.remove(at),
            None => OpenedEntry::new(self.history.record(position)?)?,
        };
        if self.opened.len() == OPENED_MAX {
            self.opened.remove(0);
        }
        self.opened.push(opened);
        let opened = self.opened.last().expect("just pushed");
        let place = opened.commands.get(usize::from(number));
        let place =
            place.ok_or_else(|| Lost::new(format!("entry {position} has no command {number}")))?;
        Ok((stamp(&opened.record), opened.record.payload.slice(place.clone())))
    }
}

impl OpenedEntry {
    fn new(record: Arc<Record>) -> Result<Self, Lost> {
        let place = |next: Result<(u16, _, &[u8]), String>| {
            next.map(|(_, _, bytes)| place_of(bytes, &record.payload))
        };
        let places = commands(&record.payload).map(place).collect::<Result<_, _>>();
        Ok(Self { commands: places.map_err(Lost::new)?, record })
    }
}

impl History {
    /// An entry, whole.
    fn record(&self, position: u64) -> Result<Arc<Record>, Lost> {
        let records = self.journal.read(position, position + 1, READ_BYTES_MAX)?;
        records.into_iter().next().ok_or_else(|| Lost::new(format!("there is no entry {position}")))
    }
}
