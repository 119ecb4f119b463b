//! The offsets of all sections of an index file, computed from the counts in the header.

use super::block::BLOCK_BYTES;
use super::filter::LINES_PER_BLOCK;
use super::section::{KeyWidth, Section, Shape};
use crate::journal::index::row::COMMAND_BYTES;

pub(crate) const COMMANDS: Shape = Shape { row_bytes: COMMAND_BYTES, key: KeyWidth::None };
pub(crate) const RECORDS: Shape = Shape { row_bytes: 4, key: KeyWidth::U32 };
pub(crate) const POSTINGS: Shape = Shape { row_bytes: 4, key: KeyWidth::None };
pub(crate) const ACCOUNTS: Shape = Shape { row_bytes: 24, key: KeyWidth::U128 };
pub(crate) const IDS: Shape = Shape { row_bytes: 20, key: KeyWidth::U128 };

/// The number of the header's block.
pub(crate) const HEADER_BLOCK: u64 = 0;

/// The number of rows of each section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u32,
    pub(crate) commands: u32,
    pub(crate) ids: u32,
    pub(crate) accounts: u32,
    pub(crate) postings: u32,
    pub(crate) id_filter_lines: u32,
    pub(crate) account_filter_lines: u32,
}

/// A filter's location.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterLocation {
    pub(crate) first_block: u64,
    pub(crate) lines: u32,
}

impl FilterLocation {
    /// The number of its first line, counted from the start of the file.
    pub(crate) fn first_line(self) -> u64 {
        self.first_block * u64::from(LINES_PER_BLOCK)
    }

    fn block_after(self) -> u64 {
        self.first_block + u64::from(self.lines / LINES_PER_BLOCK)
    }
}

#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) commands: Section,
    pub(crate) records: Section,
    pub(crate) postings: Section,
    pub(crate) accounts: Section,
    pub(crate) ids: Section,
    pub(crate) account_filter: FilterLocation,
    pub(crate) id_filter: FilterLocation,
}

impl Layout {
    pub(crate) fn new(counts: &Counts) -> Self {
        let commands = Section::new(HEADER_BLOCK + 1, COMMANDS, counts.commands);
        let records = Section::new(commands.block_after(), RECORDS, counts.records);
        let postings = Section::new(records.block_after(), POSTINGS, counts.postings);
        let accounts = Section::new(postings.block_after(), ACCOUNTS, counts.accounts);
        let ids = Section::new(accounts.block_after(), IDS, counts.ids);
        let account_filter =
            FilterLocation { first_block: ids.block_after(), lines: counts.account_filter_lines };
        let id_filter = FilterLocation {
            first_block: account_filter.block_after(),
            lines: counts.id_filter_lines,
        };
        Self { commands, records, postings, accounts, ids, account_filter, id_filter }
    }

    pub(crate) fn file_blocks(&self) -> u64 {
        self.id_filter.block_after()
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_blocks() * u64::try_from(BLOCK_BYTES).expect("a block is small")
    }
}
