//! Sorts many keys in short steps: runs are sorted as they fill, then merged as they are read.
//!
//! No step takes longer than a few milliseconds, so the caller can pause between steps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// The keys of one run: 640 KiB, sorted in 1-2 ms.
const RUN_KEYS: usize = 32_768;

/// A 16-byte key and the ordinal of the command that has it, compared in that order. Packed: there
/// are three for every command of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub(crate) struct Keyed {
    high: u64,
    low: u64,
    ordinal: u32,
}

impl Keyed {
    pub(crate) fn new(key: u128, ordinal: u32) -> Self {
        Self {
            high: u64::try_from(key >> 64).expect("64 bits"),
            low: u64::try_from(key & u128::from(u64::MAX)).expect("64 bits"),
            ordinal,
        }
    }

    pub(crate) fn key(self) -> u128 {
        (u128::from(self.high) << 64) | u128::from(self.low)
    }

    pub(crate) fn ordinal(self) -> u32 {
        self.ordinal
    }
}

/// Keys being collected and sorted.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    sorted: Vec<Vec<Keyed>>,
    filling: Vec<Keyed>,
}

impl Runs {
    pub(crate) fn push(&mut self, keyed: Keyed) {
        self.filling.push(keyed);
        if self.filling.len() == RUN_KEYS {
            self.filling.sort_unstable();
            let next = Vec::with_capacity(RUN_KEYS);
            self.sorted.push(std::mem::replace(&mut self.filling, next));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len() * RUN_KEYS + self.filling.len()
    }

    /// All keys in ascending order.
    pub(crate) fn into_merged(mut self) -> Merged {
        self.filling.sort_unstable();
        self.sorted.push(self.filling);
        let mut runs: Vec<_> = self.sorted.into_iter().map(Vec::into_iter).collect();
        let heads = runs
            .iter_mut()
            .enumerate()
            .filter_map(|(run, keys)| keys.next().map(|head| Reverse((head, run))))
            .collect();
        Merged { runs, heads }
    }
}

/// The merged runs.
pub(crate) struct Merged {
    runs: Vec<std::vec::IntoIter<Keyed>>,
    heads: BinaryHeap<Reverse<(Keyed, usize)>>,
}

impl Iterator for Merged {
    type Item = Keyed;

    fn next(&mut self) -> Option<Keyed> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((smallest, run)) = *head;
        match self.runs[run].next() {
            Some(next) => *head = Reverse((next, run)),
            None => {
                PeekMut::pop(head);
            }
        }
        Some(smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_runs_are_sorted_and_complete() {
        let keys = u32::try_from(2 * RUN_KEYS + 777).unwrap();
        let mut runs = Runs::default();
        let mut expected = Vec::new();
        for ordinal in 0..keys {
            let spread = u128::from(ordinal.wrapping_mul(0x9e37_79b1)) << 50;
            let keyed = Keyed::new(spread % 1_000_003, ordinal);
            runs.push(keyed);
            expected.push((keyed.key(), ordinal));
        }
        expected.sort_unstable();
        assert_eq!(runs.len(), expected.len());
        let merged: Vec<_> = runs.into_merged().map(|k| (k.key(), k.ordinal())).collect();
        assert_eq!(merged, expected);
    }

    #[test]
    fn nothing_merges_to_nothing() {
        assert_eq!(Runs::default().into_merged().next(), None);
    }
}
