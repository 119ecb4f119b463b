//! A section: rows of one width in blocks, and above sorted ones a search tree that needs no
//! memory.
//!
//! ```text
//! level 0  the rows                                      [r r r … crc][r r r … crc] …
//! level 1  the first key of every block of level 0       [k k k … crc] …
//!   …      until one block holds a whole level
//! ```
//! A key is the little-endian number at the start of a row. The offsets of blocks are computed from
//! the number of rows, so there are no pointers that could be damaged.

use super::block::{BLOCK_ROWS_BYTES, Blocks};
use crate::bytes_at::{read_u32, read_u128};
use crate::journal::index::IndexError;

/// The width of a section's rows and of their keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) row_bytes: usize,
    pub(crate) key: KeyWidth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyWidth {
    /// Rows are read by number only.
    None,
    U32,
    U128,
}

impl KeyWidth {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::U32 => 4,
            Self::U128 => 16,
        }
    }

    fn read(self, block: &[u8], at: usize) -> u128 {
        match self {
            Self::None => unreachable!("a section without keys is never searched"),
            Self::U32 => u128::from(read_u32(block, at)),
            Self::U128 => read_u128(block, at),
        }
    }
}

/// The location of one section of a file.
#[derive(Debug)]
pub(crate) struct Section {
    shape: Shape,
    levels: Vec<Level>,
    rows: u32,
    block_after: u64,
}

#[derive(Debug)]
struct Level {
    first_block: u64,
    rows: u64,
    row_bytes: usize,
}

impl Level {
    fn rows_per_block(&self) -> u64 {
        u64::try_from(BLOCK_ROWS_BYTES / self.row_bytes).expect("a block is small")
    }

    fn block_count(&self) -> u64 {
        self.rows.div_ceil(self.rows_per_block())
    }
}

impl Section {
    pub(crate) fn new(first_block: u64, shape: Shape, rows: u32) -> Self {
        let mut level = Level { first_block, rows: u64::from(rows), row_bytes: shape.row_bytes };
        let mut levels = Vec::new();
        loop {
            let blocks = level.block_count();
            let block_after = level.first_block + blocks;
            levels.push(level);
            if blocks <= 1 || shape.key == KeyWidth::None {
                return Self { shape, levels, rows, block_after };
            }
            level = Level { first_block: block_after, rows: blocks, row_bytes: shape.key.bytes() };
        }
    }

    pub(crate) fn row_count(&self) -> u32 {
        self.rows
    }

    /// The number of the block after the section.
    pub(crate) fn block_after(&self) -> u64 {
        self.block_after
    }

    /// Reads row `number`, which must exist.
    pub(crate) fn read_row<'b>(
        &self,
        blocks: &'b mut Blocks<'_>,
        number: u32,
    ) -> Result<&'b [u8], IndexError> {
        assert!(number < self.rows, "row {number} of {}", self.rows);
        let leaves = &self.levels[0];
        let number = u64::from(number);
        let block = blocks.read_block(leaves.first_block + number / leaves.rows_per_block())?;
        let at = usize::try_from(number % leaves.rows_per_block()).expect("within a block")
            * leaves.row_bytes;
        Ok(&block[at..at + leaves.row_bytes])
    }

    /// The last row whose key is at most `target`.
    pub(crate) fn last_at_most(
        &self,
        blocks: &mut Blocks<'_>,
        target: u128,
    ) -> Result<Option<u32>, IndexError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let mut in_level = 0;
        for level in self.levels.iter().rev() {
            // A row of the level above is a block of this one.
            let start = in_level * level.rows_per_block();
            let rows = level.rows_per_block().min(level.rows - start);
            let block = blocks.read_block(level.first_block + in_level)?;
            let above = keys_at_most(block, self.shape.key, level.row_bytes, rows, target);
            let Some(within) = above.checked_sub(1) else { return Ok(None) };
            in_level = start + within;
        }
        Ok(Some(u32::try_from(in_level).expect("below the number of rows")))
    }
}

/// The number of the first `rows` rows of `block`, sorted by key, whose key is at most `target`.
fn keys_at_most(block: &[u8], key: KeyWidth, row_bytes: usize, rows: u64, target: u128) -> u64 {
    let mut low = 0;
    let mut high = usize::try_from(rows).expect("within a block");
    while low < high {
        let middle = low.midpoint(high);
        if key.read(block, middle * row_bytes) <= target {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    u64::try_from(low).expect("within a block")
}
