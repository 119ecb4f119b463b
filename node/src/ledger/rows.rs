//! Rows that stay where they are: kept in chunks, so that growing never copies what's there.

use std::ops::{Index, IndexMut};

use super::{accounts::Row, memory};

/// Rows of a chunk: 16 MiB.
const CHUNK_ROWS_BITS: u32 = 18;
const CHUNK_ROWS: usize = 1 << CHUNK_ROWS_BITS;

/// Numbered from 0 without gaps.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Vec<Row>>,
    count: usize,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn push(&mut self, row: Row) {
        if self.count.is_multiple_of(CHUNK_ROWS) {
            let mut chunk = Vec::with_capacity(CHUNK_ROWS);
            memory::prefer_huge_pages(chunk.spare_capacity_mut());
            self.chunks.push(chunk);
        }
        self.chunks.last_mut().expect("pushed above").push(row);
        self.count = self.count.wrapping_add(1);
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Row> {
        self.chunks.iter_mut().flatten()
    }
}

impl Index<usize> for Rows {
    type Output = Row;

    #[inline]
    fn index(&self, number: usize) -> &Row {
        &self.chunks[number >> CHUNK_ROWS_BITS][number & (CHUNK_ROWS.wrapping_sub(1))]
    }
}

impl IndexMut<usize> for Rows {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut Row {
        &mut self.chunks[number >> CHUNK_ROWS_BITS][number & (CHUNK_ROWS.wrapping_sub(1))]
    }
}
