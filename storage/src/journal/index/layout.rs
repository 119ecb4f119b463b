//! Where everything in an index file is: it follows from the counts in the header.

use super::block::BLOCK_BYTES;
use super::filter::LINES_PER_BLOCK;
use super::row::COMMAND_BYTES;
use super::section::{Key, Section, Shape};

pub(super) const COMMANDS: Shape = Shape { row_bytes: COMMAND_BYTES, key: Key::None };
pub(super) const RECORDS: Shape = Shape { row_bytes: 4, key: Key::U32 };
pub(super) const POSTINGS: Shape = Shape { row_bytes: 4, key: Key::None };
pub(super) const ACCOUNTS: Shape = Shape { row_bytes: 24, key: Key::U128 };
pub(super) const IDS: Shape = Shape { row_bytes: 20, key: Key::U128 };

/// The header's block.
pub(super) const HEADER_BLOCK: u64 = 0;

/// How many rows each section has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) records: u32,
    pub(super) commands: u32,
    pub(super) ids: u32,
    pub(super) accounts: u32,
    pub(super) postings: u32,
    pub(super) id_filter_lines: u32,
    pub(super) account_filter_lines: u32,
}

/// A filter's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilterPlace {
    pub(super) first_block: u64,
    pub(super) lines: u32,
}

impl FilterPlace {
    /// The number of its first line, counted from the start of the file.
    pub(super) fn first_line(self) -> u64 {
        self.first_block * u64::from(LINES_PER_BLOCK)
    }

    fn block_after(self) -> u64 {
        self.first_block + u64::from(self.lines / LINES_PER_BLOCK)
    }
}

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) commands: Section,
    pub(super) records: Section,
    pub(super) postings: Section,
    pub(super) accounts: Section,
    pub(super) ids: Section,
    pub(super) account_filter: FilterPlace,
    pub(super) id_filter: FilterPlace,
}

impl Layout {
    pub(super) fn new(counts: &Counts) -> Self {
        let commands = Section::new(HEADER_BLOCK + 1, COMMANDS, counts.commands);
        let records = Section::new(commands.block_after(), RECORDS, counts.records);
        let postings = Section::new(records.block_after(), POSTINGS, counts.postings);
        let accounts = Section::new(postings.block_after(), ACCOUNTS, counts.accounts);
        let ids = Section::new(accounts.block_after(), IDS, counts.ids);
        let account_filter =
            FilterPlace { first_block: ids.block_after(), lines: counts.account_filter_lines };
        let id_filter = FilterPlace {
            first_block: account_filter.block_after(),
            lines: counts.id_filter_lines,
        };
        Self { commands, records, postings, accounts, ids, account_filter, id_filter }
    }

    pub(super) fn file_blocks(&self) -> u64 {
        self.id_filter.block_after()
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_blocks() * u64::try_from(BLOCK_BYTES).expect("a block is small")
    }
}
