//! The unit that is read and checked: a block of rows and its crc32.
//!
//! ```text
//! 0 rows, as many whole ones as fit, then zeros   BLOCK_BYTES - 4 u32 crc32
//! ```
//! The checksum also covers the segment's first position and the block's number, so that a block of
//! another segment or from another offset is detected like a flipped bit. Filter lines are
//! protected the same way.

use crate::bytes_at::read_u32;
use crate::disk::File;
use crate::journal::index::{IndexError, Position};

/// Small enough that a lookup reads little, large enough that three levels cover a segment.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The bytes of a block that hold rows.
pub(crate) const BLOCK_ROWS_BYTES: usize = BLOCK_BYTES - CHECKSUM_BYTES;
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// The checksum of a block or filter line. `number` is counted from the start of the file, in units
/// of its size.
pub(crate) fn checksum(first: Position, number: u64, rows: &[u8]) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&first.to_le_bytes());
    seed[8..].copy_from_slice(&number.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed);
    hasher.update(rows);
    hasher.finalize()
}

/// Whether `unit`, a block or a filter line, has the checksum of number `number`.
pub(crate) fn is_whole(first: Position, number: u64, unit: &[u8]) -> bool {
    let rows_bytes = unit.len() - CHECKSUM_BYTES;
    read_u32(unit, rows_bytes) == checksum(first, number, &unit[..rows_bytes])
}

/// Reads unit `number` into `unit`, which has the unit's size, and checks it.
pub(crate) fn read_unit(
    file: &dyn File,
    first: Position,
    number: u64,
    unit: &mut [u8],
) -> Result<(), IndexError> {
    let offset = number * u64::try_from(unit.len()).expect("a unit is small");
    let read = file.read_at(unit, offset).map_err(|source| IndexError::Io { first, source })?;
    if read < unit.len() {
        return Err(IndexError::Damaged { first, offset, what: "file ends too early" });
    }
    if !is_whole(first, number, unit) {
        return Err(IndexError::Damaged { first, offset, what: "checksum doesn't match" });
    }
    Ok(())
}

/// Reads blocks of one file and caches the last few: a lookup reads the same ones repeatedly.
pub(crate) struct Blocks<'a> {
    file: &'a dyn File,
    first: Position,
    recent: Vec<(u64, Box<[u8]>)>,
    recent_max: usize,
    oldest: usize,
}

/// Enough for every block that one step of a history page reads again: postings, outcomes and three
/// levels of records.
const RECENT_BLOCKS_MAX: usize = 8;
/// Enough for the upper levels of the trees to stay while many rows are read in order.
const RECENT_BLOCKS_MAX_OF_MANY: usize = 48;

impl<'a> Blocks<'a> {
    pub(crate) fn new(file: &'a dyn File, first: Position) -> Self {
        let recent_max = RECENT_BLOCKS_MAX;
        Self { file, first, recent: Vec::new(), recent_max, oldest: 0 }
    }

    /// For lookups of many rows.
    pub(crate) fn for_many(file: &'a dyn File, first: Position) -> Self {
        Self { recent_max: RECENT_BLOCKS_MAX_OF_MANY, ..Self::new(file, first) }
    }

    pub(crate) fn read_block(&mut self, number: u64) -> Result<&[u8], IndexError> {
        if let Some(slot) = self.recent.iter().position(|(kept, _)| *kept == number) {
            return Ok(&self.recent[slot].1);
        }
        let slot = self.slot_to_fill();
        let (kept, bytes) = &mut self.recent[slot];
        // Until the block is read and checked, the slot stands for no block.
        *kept = u64::MAX;
        read_unit(self.file, self.first, number, bytes)?;
        *kept = number;
        Ok(bytes)
    }

    fn slot_to_fill(&mut self) -> usize {
        if self.recent.len() < self.recent_max {
            self.recent.push((u64::MAX, vec![0; BLOCK_BYTES].into_boxed_slice()));
            return self.recent.len() - 1;
        }
        let slot = self.oldest;
        self.oldest = (slot + 1) % self.recent_max;
        slot
    }
}
