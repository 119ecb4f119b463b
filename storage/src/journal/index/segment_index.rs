//! Reads the index of one sealed segment.
//!
//! The header and the section offsets stay in memory, a few hundred bytes. Everything else is read
//! when needed, through the page cache: 64 bytes for an absent id, about ten blocks for a present
//! one. It never writes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::format::block::{self, BLOCK_BYTES, Blocks};
use super::format::filter;
use super::format::header::IndexHeader;
use super::format::layout::{HEADER_BLOCK, Layout};
use super::format::seconds::SecondRange;
use super::open_files::{OpenFiles, ReaderId};
use super::row::{COMMAND_BYTES, part_from_bytes};
use super::{IndexError, LocatedCommand, OutcomeRow, Position, verify};
use crate::bytes_at::{read_array, read_u32, read_u128};
use crate::disk::{Disk, File};

/// With fewer ids than this, a lookup of many asks the filter first.
const FILTERED_IDS_MAX: usize = 16;

/// The index of one sealed segment.
pub struct SegmentIndex {
    header: IndexHeader,
    layout: Layout,
    files: Arc<OpenFiles>,
    reader: ReaderId,
}

impl SegmentIndex {
    /// Opens the index of the segment that begins at `first`. Checks header and length; the rest is
    /// checked as it is read, or as a whole by `verify`.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, first: Position) -> Result<Self, IndexError> {
        Self::open_among(Arc::new(OpenFiles::new(disk, folder, 1)), first)
    }

    pub(crate) fn open_among(files: Arc<OpenFiles>, first: Position) -> Result<Self, IndexError> {
        let (file, header) = open_file(&files, first)?;
        let layout = Layout::new(&header.counts);
        verify::check_length(&*file, first, &layout)?;
        let reader = files.new_reader();
        files.keep_file(reader, file);
        Ok(Self { header, layout, files, reader })
    }

    /// The segment's first position.
    pub fn first(&self) -> Position {
        self.header.first
    }

    /// The segment's last position.
    pub fn last(&self) -> Position {
        self.header.last()
    }

    /// The number of commands in the segment.
    pub fn command_count(&self) -> u32 {
        self.header.counts.commands
    }

    /// Whether an id of the segment may be of this second. `false` is certain. `true` is exact
    /// unless the ids are from hundreds of separate times.
    pub fn contains_second(&self, second: u64) -> bool {
        self.header.seconds.contains(second)
    }

    /// The first command with this id.
    pub fn find(&self, id: u128) -> io::Result<Option<LocatedCommand>> {
        Ok(self.find_id(id)?)
    }

    /// The commands in which an account was debited or credited, newest first: at most `limit` of
    /// those before `before`.
    pub fn history(
        &self,
        account: u128,
        before: Option<(Position, u16)>,
        limit: usize,
    ) -> io::Result<Vec<LocatedCommand>> {
        Ok(self.account_history(account, before, limit)?)
    }

    /// The command with this number in its record; `None` if the segment has no such command.
    pub fn command(&self, position: Position, command: u16) -> io::Result<Option<LocatedCommand>> {
        Ok(self.command_at(position, command)?)
    }

    /// The outcome of each command of a record, in order; `None` if the segment has no such record.
    pub fn outcomes(&self, position: Position) -> io::Result<Option<Vec<OutcomeRow>>> {
        Ok(self.outcomes_at(position)?)
    }

    /// Reads the whole file and checks every byte of it.
    pub fn verify(&self) -> Result<(), IndexError> {
        verify::verify(&*self.file_handle()?, self.first(), &self.layout)
    }

    pub(crate) fn second_ranges(&self) -> &[SecondRange] {
        self.header.seconds.ranges()
    }

    pub(crate) fn alias_second_ranges(&self) -> &[SecondRange] {
        self.header.alias_seconds.ranges()
    }

    pub(crate) fn find_id(&self, id: u128) -> Result<Option<LocatedCommand>, IndexError> {
        if id == 0 || !self.passes_filter(id)? {
            return Ok(None);
        }
        let file = self.file_handle()?;
        self.find_in(&mut Blocks::new(&*file, self.first()), id)
    }

    fn find_in(
        &self,
        blocks: &mut Blocks<'_>,
        id: u128,
    ) -> Result<Option<LocatedCommand>, IndexError> {
        let Some(number) = self.layout.ids.last_at_most(blocks, id)? else { return Ok(None) };
        let row = self.layout.ids.read_row(blocks, number)?;
        let (found, ordinal) = (read_u128(row, 0), read_u32(row, 16));
        if found != id {
            return Ok(None);
        }
        self.locate(blocks, ordinal).map(Some)
    }

    /// The first command of each of these ids, which are in ascending order.
    pub(crate) fn find_ids(&self, ids: &[u128]) -> Result<Vec<Option<LocatedCommand>>, IndexError> {
        let file = self.file_handle()?;
        let mut blocks = Blocks::for_many(&*file, self.first());
        // Neighbouring ids share their blocks. The filter saves time for few ids only.
        let is_filtered = ids.len() < FILTERED_IDS_MAX;
        let find = |id: &u128| {
            if *id == 0 || (is_filtered && !self.passes_filter(*id)?) {
                return Ok(None);
            }
            self.find_in(&mut blocks, *id)
        };
        ids.iter().map(find).collect()
    }

    pub(crate) fn account_history(
        &self,
        account: u128,
        before: Option<(Position, u16)>,
        limit: usize,
    ) -> Result<Vec<LocatedCommand>, IndexError> {
        let file = self.file_handle()?;
        let at = self.layout.account_filter;
        if limit == 0 || !filter::may_contain(&*file, self.first(), at, account)? {
            return Ok(Vec::new());
        }
        let mut blocks = Blocks::new(&*file, self.first());
        let ordinal_end = match before {
            None => self.command_count(),
            Some((position, _)) if position < self.first() => return Ok(Vec::new()),
            Some((position, _)) if position > self.last() => self.command_count(),
            Some((position, command)) => {
                let (start, end) = self.ordinals_of(&mut blocks, position)?;
                start.saturating_add(u32::from(command)).min(end)
            }
        };
        let Some((start, count)) = self.postings_of(&mut blocks, account)? else {
            return Ok(Vec::new());
        };
        let end = self.postings_below(&mut blocks, start, count, ordinal_end)?;
        let wanted = end - start;
        let wanted = u32::try_from(limit).map_or(wanted, |limit| wanted.min(limit));
        let mut page = Vec::with_capacity(usize::try_from(wanted).expect("a u32 fits"));
        for number in (end - wanted..end).rev() {
            let ordinal = read_u32(self.layout.postings.read_row(&mut blocks, number)?, 0);
            page.push(self.locate(&mut blocks, ordinal)?);
        }
        Ok(page)
    }

    pub(crate) fn command_at(
        &self,
        position: Position,
        command: u16,
    ) -> Result<Option<LocatedCommand>, IndexError> {
        Ok(self.commands_at(&[(position, command)])?[0])
    }

    /// Each of these commands, best in the order of their positions.
    pub(crate) fn commands_at(
        &self,
        places: &[(Position, u16)],
    ) -> Result<Vec<Option<LocatedCommand>>, IndexError> {
        let file = self.file_handle()?;
        let mut blocks = match places {
            [_] => Blocks::new(&*file, self.first()),
            _ => Blocks::for_many(&*file, self.first()),
        };
        let locate = |(position, command): &(Position, u16)| {
            if *position < self.first() || *position > self.last() {
                return Ok(None);
            }
            let (start, end) = self.ordinals_of(&mut blocks, *position)?;
            match start.checked_add(u32::from(*command)) {
                Some(ordinal) if ordinal < end => self
                    .row_of(&mut blocks, ordinal)
                    .map(|row| Some(located_command(*position, *command, row))),
                _ => Ok(None),
            }
        };
        places.iter().map(locate).collect()
    }

    pub(crate) fn outcomes_at(
        &self,
        position: Position,
    ) -> Result<Option<Vec<OutcomeRow>>, IndexError> {
        if position < self.first() || position > self.last() {
            return Ok(None);
        }
        let file = self.file_handle()?;
        let mut blocks = Blocks::new(&*file, self.first());
        let (start, end) = self.ordinals_of(&mut blocks, position)?;
        let outcome =
            |ordinal| self.row_of(&mut blocks, ordinal).map(|row| OutcomeRow::from_bytes(&row));
        (start..end).map(outcome).collect::<Result<_, _>>().map(Some)
    }

    pub(crate) fn passes_filter(&self, id: u128) -> Result<bool, IndexError> {
        filter::may_contain(&*self.file_handle()?, self.first(), self.layout.id_filter, id)
    }

    /// The account's postings: the number of the first, and their count.
    fn postings_of(
        &self,
        blocks: &mut Blocks<'_>,
        account: u128,
    ) -> Result<Option<(u32, u32)>, IndexError> {
        let Some(number) = self.layout.accounts.last_at_most(blocks, account)? else {
            return Ok(None);
        };
        let row = self.layout.accounts.read_row(blocks, number)?;
        if read_u128(row, 0) != account {
            return Ok(None);
        }
        let (start, count) = (read_u32(row, 16), read_u32(row, 20));
        match start.checked_add(count) {
            Some(end) if end <= self.layout.postings.row_count() => Ok(Some((start, count))),
            _ => Err(self.damage_error(0, "an account's postings are missing")),
        }
    }

    /// Of the `count` postings from `start` on, the end of those whose ordinal is below
    /// `ordinal_end`.
    fn postings_below(
        &self,
        blocks: &mut Blocks<'_>,
        start: u32,
        count: u32,
        ordinal_end: u32,
    ) -> Result<u32, IndexError> {
        let (mut low, mut high) = (start, start + count);
        while low < high {
            let middle = low.midpoint(high);
            if read_u32(self.layout.postings.read_row(blocks, middle)?, 0) < ordinal_end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The ordinals of the record at `position`, which must be in the segment: the first, and the
    /// one after the last.
    fn ordinals_of(
        &self,
        blocks: &mut Blocks<'_>,
        position: Position,
    ) -> Result<(u32, u32), IndexError> {
        let records = &self.layout.records;
        let number = u32::try_from(position - self.first()).expect("within the segment");
        let start = read_u32(records.read_row(blocks, number)?, 0);
        let end = match number + 1 {
            next if next < records.row_count() => read_u32(records.read_row(blocks, next)?, 0),
            _ => self.command_count(),
        };
        if start > end || end > self.command_count() {
            return Err(self.damage_error(0, "a record's commands are out of order"));
        }
        Ok((start, end))
    }

    fn locate(&self, blocks: &mut Blocks<'_>, ordinal: u32) -> Result<LocatedCommand, IndexError> {
        let row = self.row_of(blocks, ordinal)?;
        // Of several records that begin at the same ordinal only the last one has commands.
        let records = &self.layout.records;
        let number = records
            .last_at_most(blocks, u128::from(ordinal))?
            .ok_or_else(|| self.damage_error(0, "a command is in no record"))?;
        let start = read_u32(records.read_row(blocks, number)?, 0);
        let command = u16::try_from(ordinal - start)
            .map_err(|_| self.damage_error(0, "a record has too many commands"))?;
        Ok(located_command(self.first() + u64::from(number), command, row))
    }

    fn row_of(
        &self,
        blocks: &mut Blocks<'_>,
        ordinal: u32,
    ) -> Result<[u8; COMMAND_BYTES], IndexError> {
        if ordinal >= self.command_count() {
            return Err(self.damage_error(0, "a command is missing"));
        }
        Ok(read_array(self.layout.commands.read_row(blocks, ordinal)?, 0))
    }

    /// The open file, opened again if it was closed in favour of others. It must be the one with
    /// which this index was opened.
    fn file_handle(&self) -> Result<Arc<dyn File>, IndexError> {
        if let Some(file) = self.files.kept_file(self.reader) {
            return Ok(file);
        }
        let (file, header) = open_file(&self.files, self.first())?;
        if header != self.header {
            return Err(self.damage_error(0, "replaced by another file"));
        }
        self.files.keep_file(self.reader, Arc::clone(&file));
        Ok(file)
    }

    fn damage_error(&self, offset: u64, what: &'static str) -> IndexError {
        IndexError::Damaged { first: self.first(), offset, what }
    }
}

impl Drop for SegmentIndex {
    fn drop(&mut self) {
        self.files.forget(self.reader);
    }
}

fn located_command(position: Position, command: u16, row: [u8; COMMAND_BYTES]) -> LocatedCommand {
    let (outcome, part) = (OutcomeRow::from_bytes(&row), part_from_bytes(&row));
    LocatedCommand { position, command, outcome, part }
}

fn open_file(
    files: &OpenFiles,
    first: Position,
) -> Result<(Arc<dyn File>, IndexHeader), IndexError> {
    let file = files.open(first).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IndexError::Missing { first },
        _ => IndexError::Io { first, source },
    })?;
    let mut block = [0; BLOCK_BYTES];
    block::read_unit(&*file, first, HEADER_BLOCK, &mut block)?;
    let header = IndexHeader::from_block(first, &block)?;
    Ok((file, header))
}
