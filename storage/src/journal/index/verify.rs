//! Checks a whole index file: its length, and the checksum of every block and filter line.

use super::format::block::{self, BLOCK_BYTES};
use super::format::filter::LINE_BYTES;
use super::format::layout::{HEADER_BLOCK, Layout};
use super::{IndexError, Position};
use crate::disk::{File, bytes_u64};

pub(crate) fn verify(file: &dyn File, first: Position, layout: &Layout) -> Result<(), IndexError> {
    check_length(file, first, layout)?;
    let mut block = vec![0; BLOCK_BYTES];
    let rows_end = layout.account_filter.first_block;
    for number in HEADER_BLOCK..rows_end {
        block::read_unit(file, first, number, &mut block)?;
    }
    for number in rows_end..layout.file_blocks() {
        verify_lines(file, first, number, &mut block)?;
    }
    Ok(())
}

pub(crate) fn check_length(
    file: &dyn File,
    first: Position,
    layout: &Layout,
) -> Result<(), IndexError> {
    let bytes = file.len().map_err(|source| IndexError::Io { first, source })?;
    if bytes == layout.file_bytes() {
        return Ok(());
    }
    let offset = bytes.min(layout.file_bytes());
    Err(IndexError::Damaged { first, offset, what: "the file's length is wrong" })
}

/// Checks a block of filter lines.
fn verify_lines(
    file: &dyn File,
    first: Position,
    number: u64,
    block: &mut [u8],
) -> Result<(), IndexError> {
    let offset = number * bytes_u64(BLOCK_BYTES);
    let read = file.read_at(block, offset).map_err(|source| IndexError::Io { first, source })?;
    if read < BLOCK_BYTES {
        return Err(IndexError::Damaged { first, offset, what: "file ends too early" });
    }
    let lines = bytes_u64(BLOCK_BYTES / LINE_BYTES);
    for (line, bytes) in (number * lines..).zip(block.chunks_exact(LINE_BYTES)) {
        if !block::is_whole(first, line, bytes) {
            let offset = line * bytes_u64(LINE_BYTES);
            let what = "a filter line's checksum doesn't match";
            return Err(IndexError::Damaged { first, offset, what });
        }
    }
    Ok(())
}
