//! Builds the index of one segment.
//!
//! Records are added in journal order, then the file is written at once. Memory: 100 bytes per
//! command, 20 more with an alias id, 4 per record, and 24 per distinct account while writing. The
//! builder never reads a journal file. It never works for long without a pause: the caller pauses
//! between records, and in `pace` while writing.

use std::io;
use std::iter::Peekable;
use std::path::Path;

use super::output::Output;
use super::runs::{Keyed, Merged, Runs};
use crate::disk::{Disk, File};
use crate::journal::index::format::filter::{self, Filter};
use crate::journal::index::format::header::IndexHeader;
use crate::journal::index::format::layout::{
    ACCOUNTS, COMMANDS, Counts, HEADER_BLOCK, IDS, Layout, POSTINGS, RECORDS,
};
use crate::journal::index::format::seconds::{ALIAS_RANGES_MAX, RANGES_MAX, Seconds};
use crate::journal::index::row::{COMMAND_BYTES, command_to_bytes};
use crate::journal::index::{CommandRow, Position, id_second, partial_path_of, path_of};

/// The most commands of a record: a `u16` numbers them.
const RECORD_COMMANDS_MAX: u32 = 1 << 16;

/// Collects the rows of one segment's commands.
#[derive(Debug)]
pub struct IndexBuilder {
    first: Position,
    record_starts: Vec<u32>,
    commands_announced: u32,
    commands: Vec<[u8; COMMAND_BYTES]>,
    ids: Runs,
    also: Runs,
    postings: Runs,
}

impl IndexBuilder {
    /// An empty index of the segment that begins at `first`.
    pub fn new(first: Position) -> Self {
        Self {
            first,
            record_starts: Vec::new(),
            commands_announced: 0,
            commands: Vec::new(),
            ids: Runs::default(),
            also: Runs::default(),
            postings: Runs::default(),
        }
    }

    /// Begins the record at `position`, even one without commands. Panics if records are skipped,
    /// or if commands of the record before are missing, since the index would return wrong answers.
    pub fn begin_record(&mut self, position: Position, commands: u32) {
        let records = u64::try_from(self.record_starts.len()).expect("a length fits 64 bits");
        assert_eq!(position, self.first + records, "records are added without gaps");
        assert!(commands <= RECORD_COMMANDS_MAX, "{commands} commands in the record at {position}");
        self.assert_complete();
        self.record_starts.push(self.commands_announced);
        let announced = self.commands_announced.checked_add(commands);
        self.commands_announced = announced.expect("a segment holds less than 2^32 commands");
    }

    /// Adds the next command of the current record. Panics if the record has all its commands.
    pub fn add_command(&mut self, command: &CommandRow) {
        let ordinal = self.ordinal();
        assert!(ordinal < self.commands_announced, "more commands than the record announced");
        self.commands.push(command_to_bytes(&command.outcome, &command.part));
        if command.id != 0 {
            self.ids.push(Keyed::new(command.id, ordinal));
        }
        if command.alias_id != 0 {
            self.also.push(Keyed::new(command.alias_id, ordinal));
        }
        if let Some(debit) = command.debit {
            self.postings.push(Keyed::new(debit, ordinal));
        }
        if let Some(credit) = command.credit
            && command.debit != Some(credit)
        {
            self.postings.push(Keyed::new(credit, ordinal));
        }
    }

    /// Writes the index, replacing an older one; durable on return. `pace` is called with the
    /// number of bytes written every few milliseconds, so that the caller can sleep. After an error
    /// the file is either the older one, if any, or the whole new one; the build can be repeated.
    pub fn finish(
        self,
        disk: &dyn Disk,
        folder: &Path,
        pace: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        self.assert_complete();
        assert!(!self.record_starts.is_empty(), "a sealed segment has a record");
        let path = path_of(folder, self.first);
        let partial = partial_path_of(folder, self.first);
        remove_if_there(disk, &partial)?;
        let file = disk.create(&partial)?;
        let written = self.write_sections(&*file, pace).and_then(|()| disk.rename(&partial, &path));
        if let Err(error) = written {
            // The partial file takes space that the journal needs. The first error is more useful
            // than one from here.
            let _ = disk.remove(&partial);
            return Err(error);
        }
        disk.sync_folder(folder)
    }

    fn ordinal(&self) -> u32 {
        u32::try_from(self.commands.len()).expect("counted as announced")
    }

    fn assert_complete(&self) {
        assert_eq!(self.ordinal(), self.commands_announced, "a record lacks commands");
    }

    fn write_sections(self, file: &dyn File, pace: &mut dyn FnMut(usize)) -> io::Result<()> {
        let first = self.first;
        let ids_max = u32::try_from(self.ids.len() + self.also.len()).map_err(io::Error::other)?;
        let postings = u32::try_from(self.postings.len()).map_err(io::Error::other)?;
        let mut counts = Counts {
            records: u32::try_from(self.record_starts.len()).map_err(io::Error::other)?,
            commands: self.commands_announced,
            ids: ids_max,
            accounts: 0,
            postings,
            id_filter_lines: filter::lines_for(ids_max),
            account_filter_lines: 0,
        };
        // Detects a full disk here and not halfway. Accounts aren't counted yet; they are few.
        file.allocate(Layout::new(&counts).file_bytes())?;

        let mut out = Output::new(file, first, HEADER_BLOCK + 1, pace);
        out.write_section(COMMANDS, self.commands.iter())?;
        drop(self.commands);
        out.write_section(RECORDS, self.record_starts.iter().map(|start| start.to_le_bytes()))?;
        drop(self.record_starts);

        let accounts = write_postings(&mut out, self.postings)?;
        counts.accounts =
            out.write_section(ACCOUNTS, accounts.iter().map(AccountPostings::to_bytes))?;
        counts.account_filter_lines = filter::lines_for(counts.accounts);
        let ids = write_ids(&mut out, AllIds::new(self.ids, self.also), ids_max)?;
        counts.ids = ids.count;

        let mut account_filter = Filter::for_keys(counts.accounts);
        accounts.iter().for_each(|row| account_filter.insert(row.account));
        drop(accounts);
        let layout = Layout::new(&counts);
        assert_eq!(out.next_block(), layout.account_filter.first_block, "written as laid out");
        out.write_lines(account_filter.into_lines(first, layout.account_filter.first_line()))?;
        out.write_lines(ids.filter.into_lines(first, layout.id_filter.first_line()))?;
        out.finish()?;

        let WrittenIds { seconds, alias_seconds, .. } = ids;
        let header = IndexHeader { first, counts, seconds, alias_seconds };
        file.write_at(&header.to_block(), 0)?;
        // With duplicate ids the file is shorter than reserved.
        file.set_len(layout.file_bytes())?;
        file.sync_data()
    }
}

struct AccountPostings {
    account: u128,
    start: u32,
    count: u32,
}

impl AccountPostings {
    fn to_bytes(&self) -> [u8; ACCOUNTS.row_bytes] {
        let mut bytes = [0; ACCOUNTS.row_bytes];
        bytes[..16].copy_from_slice(&self.account.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.start.to_le_bytes());
        bytes[20..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }
}

/// Writes the postings and returns the location of each account's postings.
fn write_postings(out: &mut Output<'_>, postings: Runs) -> io::Result<Vec<AccountPostings>> {
    let mut accounts: Vec<AccountPostings> = Vec::new();
    let mut written = 0;
    let ordinals = postings.into_merged().map(|posting| {
        match accounts.last_mut() {
            Some(row) if row.account == posting.key() => row.count += 1,
            _ => {
                accounts.push(AccountPostings { account: posting.key(), start: written, count: 1 })
            }
        }
        written += 1;
        posting.ordinal().to_le_bytes()
    });
    out.write_section(POSTINGS, ordinals)?;
    Ok(accounts)
}

/// What the header and the filter's section need of the ids.
struct WrittenIds {
    count: u32,
    filter: Filter,
    /// The seconds of the commands' own ids.
    seconds: Seconds,
    alias_seconds: Seconds,
}

/// Writes the ids, each with the first command that has it.
fn write_ids(out: &mut Output<'_>, ids: AllIds, ids_max: u32) -> io::Result<WrittenIds> {
    let mut filter = Filter::for_keys(ids_max);
    let (mut seconds, mut alias_seconds) = (Seconds::default(), Seconds::default());
    let rows = FirstOfEach { keys: ids, last: 0 }.map(|(id, is_own)| {
        filter.insert(id.key());
        let of_kind = if is_own { &mut seconds } else { &mut alias_seconds };
        of_kind.push(id_second(id.key()));
        let mut row = [0; IDS.row_bytes];
        row[..16].copy_from_slice(&id.key().to_le_bytes());
        row[16..].copy_from_slice(&id.ordinal().to_le_bytes());
        row
    });
    let count = out.write_section(IDS, rows)?;
    let seconds = seconds.with_gaps_closed(RANGES_MAX);
    let alias_seconds = alias_seconds.with_gaps_closed(ALIAS_RANGES_MAX);
    Ok(WrittenIds { count, filter, seconds, alias_seconds })
}

/// All ids in order, each with a flag: true for a command's own id, false for an alias.
struct AllIds {
    own: Peekable<Merged>,
    also: Peekable<Merged>,
}

impl AllIds {
    fn new(own: Runs, also: Runs) -> Self {
        Self { own: own.into_merged().peekable(), also: also.into_merged().peekable() }
    }
}

impl Iterator for AllIds {
    type Item = (Keyed, bool);

    fn next(&mut self) -> Option<(Keyed, bool)> {
        let also_is_next = match (self.own.peek(), self.also.peek()) {
            (Some(own), Some(also)) => also < own,
            (own, _) => own.is_none(),
        };
        if also_is_next {
            return self.also.next().map(|keyed| (keyed, false));
        }
        self.own.next().map(|keyed| (keyed, true))
    }
}

/// The first of each of the ids in order. No id is 0.
struct FirstOfEach {
    keys: AllIds,
    last: u128,
}

impl Iterator for FirstOfEach {
    type Item = (Keyed, bool);

    fn next(&mut self) -> Option<(Keyed, bool)> {
        let last = self.last;
        let next = self.keys.find(|(keyed, _)| keyed.key() != last)?;
        self.last = next.0.key();
        Some(next)
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
