//! Rows in chunks, so that growing never copies them.

use std::ops::{Index, IndexMut};

use super::memory::MemoryAdvice;

/// The number of rows in a chunk: 16 MiB of accounts.
const CHUNK_ROWS_BITS: u32 = 18;
const CHUNK_ROWS: usize = 1 << CHUNK_ROWS_BITS;

/// Rows that are numbered from 0 without gaps.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    chunks: Vec<Vec<T>>,
    count: usize,
    advice: MemoryAdvice,
}

impl<T> Rows<T> {
    pub(crate) fn new(advice: MemoryAdvice) -> Self {
        Self { chunks: Vec::new(), count: 0, advice }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn push(&mut self, row: T) {
        let is_full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_ROWS);
        if is_full {
            let mut chunk = Vec::with_capacity(CHUNK_ROWS);
            self.advice.prefer_huge_pages(chunk.spare_capacity_mut());
            self.chunks.push(chunk);
        }
        self.chunks.last_mut().expect("pushed above").push(row);
        self.count = self.count.wrapping_add(1);
    }

    /// Removes the newest row.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let newest = self.chunks.last_mut()?.pop();
        if self.chunks.last().is_some_and(Vec::is_empty) {
            self.chunks.pop();
        }
        self.count = self.count.saturating_sub(usize::from(newest.is_some()));
        newest
    }
}

impl<T> Index<usize> for Rows<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        &self.chunks[number >> CHUNK_ROWS_BITS][number & (CHUNK_ROWS.wrapping_sub(1))]
    }
}

impl<T> IndexMut<usize> for Rows<T> {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.chunks[number >> CHUNK_ROWS_BITS][number & (CHUNK_ROWS.wrapping_sub(1))]
    }
}
