//! Writes an index file from front to back, block by block, paced by the caller.

use std::io;

use crate::disk::File;
use crate::journal::index::Position;
use crate::journal::index::format::block::{self, BLOCK_BYTES, BLOCK_ROWS_BYTES};
use crate::journal::index::format::filter::LINE_BYTES;
use crate::journal::index::format::section::Shape;

/// The bytes written at once; then the caller may pause.
const CHUNK_BYTES: usize = 64 << 10;
const _: () = assert!(CHUNK_BYTES.is_multiple_of(BLOCK_BYTES));
/// The most bytes left for one fdatasync, so that syncs of the journal don't queue behind a long
/// one.
const UNSYNCED_BYTES_MAX: usize = 4 << 20;

pub(crate) struct Output<'a> {
    file: &'a dyn File,
    first: Position,
    pace: &'a mut dyn FnMut(usize),
    chunk: Vec<u8>,
    chunk_block: u64,
    unsynced_bytes: usize,
}

impl<'a> Output<'a> {
    /// Writing begins at block `first_block`.
    pub(crate) fn new(
        file: &'a dyn File,
        first: Position,
        first_block: u64,
        pace: &'a mut dyn FnMut(usize),
    ) -> Self {
        let chunk = Vec::with_capacity(CHUNK_BYTES);
        Self { file, first, pace, chunk, chunk_block: first_block, unsynced_bytes: 0 }
    }

    /// Writes a section: its rows, and the tree above them if they have keys. Returns the number of
    /// rows.
    pub(crate) fn write_section<R: AsRef<[u8]>>(
        &mut self,
        shape: Shape,
        rows: impl Iterator<Item = R>,
    ) -> io::Result<u32> {
        let key_bytes = shape.key.bytes();
        let mut count = 0_u32;
        let mut fences = Vec::new();
        for row in rows {
            let row = row.as_ref();
            assert_eq!(row.len(), shape.row_bytes, "a section's rows are of one width");
            if self.write_row(row)? {
                fences.extend_from_slice(&row[..key_bytes]);
            }
            count = count.checked_add(1).expect("a segment holds less than 2^32 rows");
        }
        self.end_block()?;
        while fences.len() > key_bytes {
            let level = std::mem::take(&mut fences);
            for key in level.chunks_exact(key_bytes) {
                if self.write_row(key)? {
                    fences.extend_from_slice(key);
                }
            }
            self.end_block()?;
        }
        Ok(count)
    }

    /// Writes the lines of a filter, which fill whole blocks and include their checksums.
    pub(crate) fn write_lines(
        &mut self,
        lines: impl Iterator<Item = [u8; LINE_BYTES]>,
    ) -> io::Result<()> {
        for line in lines {
            self.chunk.extend_from_slice(&line);
            self.write_full_chunk()?;
        }
        assert!(self.chunk.len().is_multiple_of(BLOCK_BYTES), "a filter fills whole blocks");
        Ok(())
    }

    /// The number of the next block.
    pub(crate) fn next_block(&self) -> u64 {
        self.chunk_block + u64::try_from(self.chunk.len() / BLOCK_BYTES).expect("a chunk is small")
    }

    /// Writes the remaining bytes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_chunk()
    }

    /// Adds a row; returns whether it is the first of its block.
    fn write_row(&mut self, row: &[u8]) -> io::Result<bool> {
        if self.chunk.len() % BLOCK_BYTES + row.len() > BLOCK_ROWS_BYTES {
            self.end_block()?;
        }
        let opens_block = self.chunk.len().is_multiple_of(BLOCK_BYTES);
        self.chunk.extend_from_slice(row);
        Ok(opens_block)
    }

    fn end_block(&mut self) -> io::Result<()> {
        let filled = self.chunk.len() % BLOCK_BYTES;
        if filled == 0 {
            return Ok(());
        }
        let start = self.chunk.len() - filled;
        let number = self.next_block();
        self.chunk.resize(start + BLOCK_ROWS_BYTES, 0);
        let checksum = block::checksum(self.first, number, &self.chunk[start..]);
        self.chunk.extend_from_slice(&checksum.to_le_bytes());
        self.write_full_chunk()
    }

    fn write_full_chunk(&mut self) -> io::Result<()> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.write_chunk() }
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let block_bytes = u64::try_from(BLOCK_BYTES).expect("a block is small");
        self.file.write_at(&self.chunk, self.chunk_block * block_bytes)?;
        self.unsynced_bytes += self.chunk.len();
        if self.unsynced_bytes >= UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        (self.pace)(self.chunk.len());
        self.chunk_block = self.next_block();
        self.chunk.clear();
        Ok(())
    }
}
