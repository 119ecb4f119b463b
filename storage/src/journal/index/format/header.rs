//! The header of an index: its segment, the number of rows of each section, and the seconds of its
//! ids.
//!
//! ```text
//!  0 u32 magic "EKX\x01"    4 u16 format version   6 u16 zero     8 u64 first position
//! 16 u32 records           20 u32 commands        24 u32 ids     28 u32 accounts   32 u32 postings
//! 36 u32 id filter lines   40 u32 account filter lines         44 u32 second ranges
//! 48 u32 ranges of the seconds of alias ids                    52 [12] zero
//! 64 per range: u64 first second, u64 last second (included), those of own ids first; zeros up to
//!    the block's checksum
//! ```
//! In version 1 the number at 48 is zero and says nothing about alias ids: they may be of any
//! second. Files of both versions are read; version 2 is written.

use super::block::{self, BLOCK_BYTES, BLOCK_ROWS_BYTES};
use super::filter::LINES_PER_BLOCK;
use super::layout::{Counts, HEADER_BLOCK};
use super::seconds::{ALIAS_RANGES_MAX, RANGES_MAX, SecondRange, Seconds};
use crate::bytes_at::{read_u16, read_u32, read_u64, write_u16, write_u32, write_u64};
use crate::journal::index::{IndexError, Position};

const MAGIC: u32 = u32::from_le_bytes(*b"EKX\x01");
const FORMAT_VERSION: u16 = 2;
/// The version that has no seconds of alias ids, and the most ranges of its headers.
const VERSION_WITHOUT_ALIASES: u16 = 1;
const RANGES_MAX_WITHOUT_ALIASES: usize = 240;
const RANGES_AT: usize = 64;
const RANGE_BYTES: usize = 16;
const _: () =
    assert!(RANGES_AT + (RANGES_MAX + ALIAS_RANGES_MAX) * RANGE_BYTES <= BLOCK_ROWS_BYTES);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub(crate) first: Position,
    pub(crate) counts: Counts,
    /// The seconds of the commands' own ids.
    pub(crate) seconds: Seconds,
    /// The seconds of alias ids.
    pub(crate) alias_seconds: Seconds,
}

impl IndexHeader {
    pub(crate) fn to_block(&self) -> [u8; BLOCK_BYTES] {
        let counts = &self.counts;
        let (ranges, alias_ranges) = (self.seconds.ranges(), self.alias_seconds.ranges());
        let count = |ranges: &[SecondRange]| u32::try_from(ranges.len()).expect("bounded");
        let mut bytes = [0; BLOCK_BYTES];
        write_u32(&mut bytes, 0, MAGIC);
        write_u16(&mut bytes, 4, FORMAT_VERSION);
        write_u64(&mut bytes, 8, self.first);
        write_u32(&mut bytes, 16, counts.records);
        write_u32(&mut bytes, 20, counts.commands);
        write_u32(&mut bytes, 24, counts.ids);
        write_u32(&mut bytes, 28, counts.accounts);
        write_u32(&mut bytes, 32, counts.postings);
        write_u32(&mut bytes, 36, counts.id_filter_lines);
        write_u32(&mut bytes, 40, counts.account_filter_lines);
        write_u32(&mut bytes, 44, count(ranges));
        write_u32(&mut bytes, 48, count(alias_ranges));
        let all = ranges.iter().chain(alias_ranges);
        for (at, range) in (RANGES_AT..).step_by(RANGE_BYTES).zip(all) {
            write_u64(&mut bytes, at, range.first);
            write_u64(&mut bytes, at + 8, range.last);
        }
        let checksum = block::checksum(self.first, HEADER_BLOCK, &bytes[..BLOCK_ROWS_BYTES]);
        write_u32(&mut bytes, BLOCK_ROWS_BYTES, checksum);
        bytes
    }

    /// Decodes a block whose checksum was checked.
    pub(crate) fn from_block(first: Position, bytes: &[u8]) -> Result<Self, IndexError> {
        let refuse = |offset, what| IndexError::Damaged { first, offset, what };
        if read_u32(bytes, 0) != MAGIC {
            return Err(refuse(0, "not an index file"));
        }
        let version = read_u16(bytes, 4);
        if version != FORMAT_VERSION && version != VERSION_WITHOUT_ALIASES {
            return Err(refuse(4, "unknown format version"));
        }
        if read_u64(bytes, 8) != first {
            return Err(refuse(8, "first position differs from the segment's"));
        }
        let counts = Counts {
            records: read_u32(bytes, 16),
            commands: read_u32(bytes, 20),
            ids: read_u32(bytes, 24),
            accounts: read_u32(bytes, 28),
            postings: read_u32(bytes, 32),
            id_filter_lines: read_u32(bytes, 36),
            account_filter_lines: read_u32(bytes, 40),
        };
        if counts.records == 0 || first.checked_add(u64::from(counts.records) - 1).is_none() {
            return Err(refuse(16, "number of records is impossible"));
        }
        if !counts.id_filter_lines.is_multiple_of(LINES_PER_BLOCK)
            || !counts.account_filter_lines.is_multiple_of(LINES_PER_BLOCK)
        {
            return Err(refuse(36, "a filter ends within a block"));
        }
        let (seconds, alias_seconds) = read_seconds(version, bytes)
            .map_err(|(offset, what)| IndexError::Damaged { first, offset, what })?;
        Ok(Self { first, counts, seconds, alias_seconds })
    }

    pub(crate) fn last(&self) -> Position {
        self.first + u64::from(self.counts.records) - 1
    }
}

/// The seconds of own ids and of alias ids; otherwise what is wrong, and at which offset.
fn read_seconds(version: u16, bytes: &[u8]) -> Result<(Seconds, Seconds), (u64, &'static str)> {
    let counted = |at| usize::try_from(read_u32(bytes, at)).expect("a u32 fits");
    let (own, aliases) = (counted(44), counted(48));
    let (own_max, aliases_max) = match version {
        VERSION_WITHOUT_ALIASES => (RANGES_MAX_WITHOUT_ALIASES, 0),
        _ => (RANGES_MAX, ALIAS_RANGES_MAX),
    };
    if own > own_max || aliases > aliases_max {
        return Err((44, "too many ranges of seconds"));
    }
    let read = |start: usize, count: usize| {
        let at = (RANGES_AT + start * RANGE_BYTES..).step_by(RANGE_BYTES).take(count);
        let range = |at| SecondRange { first: read_u64(bytes, at), last: read_u64(bytes, at + 8) };
        let misplaced = (64, "ranges of seconds are out of order");
        Seconds::from_ranges(at.map(range).collect()).ok_or(misplaced)
    };
    let seconds = read(0, own)?;
    match version {
        VERSION_WITHOUT_ALIASES => Ok((seconds, Seconds::all())),
        _ => Ok((seconds, read(own, aliases)?)),
    }
}
