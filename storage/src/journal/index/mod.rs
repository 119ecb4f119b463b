//! The index beside every sealed segment: where a command is by its id, what an account took part
//! in, what came of each command.
//!
//! Derived data: all of it follows from the segment and is built anew when missing or damaged.
//! Nothing here is needed for safety, and nothing here ever changes a journal file. Every byte is
//! under a checksum: a read from a damaged part is an error, never a wrong answer. Integers are
//! little-endian; seconds are Unix seconds.
//!
//! One file per segment, `<first position, 20 digits>.index`, in blocks of 4 KiB (`block`):
//! ```text
//! header          1 block     counts, and the seconds its ids were made in          (`header`)
//! commands        40 bytes    outcome and place of each, in ordinal order           (`row`)
//! records          4 bytes    u32 first ordinal, one per record      search tree    (`section`)
//! postings         4 bytes    u32 ordinal, ascending within an account
//! accounts        24 bytes    u128 account, u32 first posting, u32 postings         search tree
//! ids             20 bytes    u128 id, u32 ordinal                                  search tree
//! account filter  64 bytes    lines of a blocked bloom filter                       (`filter`)
//! id filter       64 bytes    lines of a blocked bloom filter
//! ```
//! The ordinal of a command is its number among all commands of the segment, so what is asked for
//! by position goes through the records. Among the ids are those under which a command is also to
//! be found. A command listed twice under one id, or one account on both sides of a command, is
//! kept once. A section without rows has no blocks.

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
pub use indexes::{FindError, Indexes, RecoveringIndex, SealedSegment};
pub use row::{CommandRow, LocatedCommand, OutcomeRow, id_second};
pub use segment_index::SegmentIndex;

use std::path::{Path, PathBuf};

use super::Part;
use crate::Position;

/// The index file of the segment that begins at `first`.
fn path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index"))
}

/// Where a damaged one goes, for whoever wants to know what became of it.
fn aside_path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index.damaged"))
}

/// Where it is written before it takes its name. Left behind by a crash, it is replaced by the next
/// build.
fn partial_path_of(folder: &Path, first: Position) -> PathBuf {
    folder.join(format!("{first:020}.index.partial"))
}
