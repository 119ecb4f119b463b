//! The index of a sealed segment, a file beside it: finds a command by its id, the commands of an
//! account, and the outcome of each command.
//!
//! An index is derived data: it follows from the segment and is rebuilt when missing or damaged.
//! Safety doesn't depend on it, and nothing here changes a journal file. Every byte is covered by a
//! checksum: a read from a damaged part is an error, never a wrong answer. Integers are
//! little-endian; seconds are Unix seconds.
//!
//! One file per segment, `<first position, 20 digits>.index`, in blocks of 4 KiB (`block`):
//! ```text
//! header          1 block     counts, and the seconds its ids were made in          (`header`)
//! commands        40 bytes    outcome and location of each, in ordinal order        (`row`)
//! records          4 bytes    u32 first ordinal, one per record      search tree    (`section`)
//! postings         4 bytes    u32 ordinal, ascending within an account
//! accounts        24 bytes    u128 account, u32 first posting, u32 postings         search tree
//! ids             20 bytes    u128 id, u32 ordinal                                  search tree
//! account filter  64 bytes    lines of a blocked bloom filter                       (`filter`)
//! id filter       64 bytes    lines of a blocked bloom filter
//! ```
//! The ordinal of a command is its number among all commands of the segment; a lookup by position
//! reads it from the records. The ids include alias ids ([`CommandRow::alias_id`]). Two commands
//! with one id, or one account on both sides of a command, are listed once. A section without rows
//! has no blocks.
//!
//! - `format`: the bytes: header, blocks, sections, filters, ranges of seconds.
//! - `building`: builds a file from front to back, from rows that the caller supplies.
//! - `row`: one command's row.
//! - `segment_index`: reads the index of one segment; `verify` checks a whole file.
//! - `indexes`: the indexes of all sealed segments; `open_files` bounds their open files,
//!   `segments_by_second` selects the segments to search for an id.
//! - `error`: why an index can't be read.

pub(crate) mod building;
pub(crate) mod format;
mod row;
mod segments_by_second;

mod error;

mod indexes;
mod open_files;
mod segment_index;
mod verify;

#[cfg(test)]
mod tests;

pub use building::builder::IndexBuilder;
pub use error::IndexError;
pub use indexes::{FindError, Indexes, OpenedIndex, RecoveringIndex, SealedSegment};
pub use row::{CommandRow, LocatedCommand, OutcomeRow, id_second};
pub use segment_index::SegmentIndex;

use std::path::{Path, PathBuf};

use super::Part;
use crate::Position;

/// The index file of the segment that begins at `first`.
fn path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index"))
}

/// The name that a damaged index file gets, kept for inspection.
fn aside_path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index.damaged"))
}

/// The name of an index file while it is written. The next build replaces one left behind by a
/// crash.
fn partial_path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index.partial"))
}
