//! A hash table from 128-bit ids to numbers below 2^32.
//!
//! Linear probing over one word per id: the upper half is a tag from the id's hash, the lower half
//! is the number plus one, 0 means free. The ids themselves are stored in the rows with these
//! numbers; the caller compares them there. Clients choose ids, so the hash has a seed that differs
//! between processes; no result depends on it.

use std::hash::BuildHasher;

use super::{memory::MemoryAdvice, mix, prefetch};

/// The seed that makes hashes unpredictable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashSeed([u64; 2]);

/// The hash of an id.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHash(u64);

impl HashSeed {
    /// A new seed each time.
    pub(crate) fn random() -> Self {
        let state = std::hash::RandomState::new();
        Self([state.hash_one(0_u8), state.hash_one(1_u8)])
    }

    #[cfg(test)]
    pub(crate) const fn fixed(seeds: [u64; 2]) -> Self {
        Self(seeds)
    }

    #[inline]
    pub(crate) fn hash(self, id: u128) -> IdHash {
        let (low, high) = mix::halves(id);
        let folded = mix::fold(low ^ self.0[0], high ^ self.0[1]);
        IdHash(mix::fold(folded ^ mix::ROOTS[0], mix::ROOTS[1]))
    }
}

impl IdHash {
    /// A number below 256 that is independent of the tag.
    #[inline]
    pub(crate) fn shard(self) -> usize {
        usize::try_from(self.0 & 0xff).expect("below 256")
    }

    /// The upper half: selects the slot and distinguishes neighbours.
    #[inline]
    fn tag(self) -> u32 {
        upper(self.0)
    }
}

/// The table. It doesn't grow by itself: see [`Self::is_crowded`].
#[derive(Debug)]
pub(crate) struct IdTable {
    words: Vec<u64>,
    bits: u32,
    used: usize,
}

impl IdTable {
    /// A table of 2^`bits` words; it's crowded when half of them are used.
    pub(crate) fn new(bits: u32, advice: MemoryAdvice) -> Self {
        assert!((1..=31).contains(&bits), "a table of 2^{bits} words");
        let mut words = vec![0; 1 << bits];
        advice.prefer_huge_pages(&mut words);
        Self { words, bits, used: 0 }
    }

    /// Whether more numbers would make searches long.
    pub(crate) fn is_crowded(&self) -> bool {
        self.used >= self.words.len() / 2
    }

    /// The number under this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: IdHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = hash.tag();
        let mut slot = self.home_index(tag);
        loop {
            let word = self.words[slot];
            if word == 0 {
                return None;
            }
            if upper(word) == tag {
                let number = lower(word).wrapping_sub(1);
                if is_it(number) {
                    return Some(number);
                }
            }
            slot = self.next_probe(slot);
        }
    }

    /// The first number with this tag: the right one unless another id shares the tag.
    #[inline]
    pub(crate) fn first_candidate(&self, hash: IdHash) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a number that the table doesn't contain.
    ///
    /// # Panics
    /// When the table is full: its owner must grow or replace it when it's crowded.
    #[inline]
    pub(crate) fn insert(&mut self, hash: IdHash, number: u32) {
        let after = number.checked_add(1).expect("numbers stay below 2^32 - 1");
        self.insert_word((u64::from(hash.tag()) << 32) | u64::from(after));
    }

    /// Removes a number that the table contains, and moves up those that it displaced.
    pub(crate) fn remove(&mut self, hash: IdHash, number: u32) {
        let after = number.checked_add(1).expect("numbers stay below 2^32 - 1");
        let word = (u64::from(hash.tag()) << 32) | u64::from(after);
        let mut gap = self.home_index(hash.tag());
        while self.words[gap] != word {
            assert!(self.words[gap] != 0, "a number that is removed must be in the table");
            gap = self.next_probe(gap);
        }
        let mut slot = self.next_probe(gap);
        while self.words[slot] != 0 {
            let begins = self.home_index(upper(self.words[slot]));
            if self.probe_distance(begins, slot) >= self.probe_distance(gap, slot) {
                self.words[gap] = self.words[slot];
                gap = slot;
            }
            slot = self.next_probe(slot);
        }
        self.words[gap] = 0;
        self.used = self.used.wrapping_sub(1);
    }

    /// Prefetches the memory where a search for this hash begins.
    #[inline]
    pub(crate) fn prefetch(&self, hash: IdHash) {
        prefetch::prefetch(&self.words[self.home_index(hash.tag())]);
    }

    /// Doubles the size.
    pub(crate) fn grow(&mut self, advice: MemoryAdvice) {
        let bits = self.bits.checked_add(1).expect("at most 31");
        let smaller = std::mem::replace(self, Self::new(bits, advice));
        for word in smaller.words.into_iter().filter(|word| *word != 0) {
            self.insert_word(word);
        }
    }

    #[inline]
    fn insert_word(&mut self, word: u64) {
        // One word always stays free, so that every search ends.
        self.used = self.used.wrapping_add(1);
        assert!(self.used < self.words.len(), "the table of ids is full");
        let mut slot = self.home_index(upper(word));
        while self.words[slot] != 0 {
            slot = self.next_probe(slot);
        }
        self.words[slot] = word;
    }

    #[inline]
    fn home_index(&self, tag: u32) -> usize {
        let slot = tag >> (u32::BITS.wrapping_sub(self.bits));
        usize::try_from(slot).expect("a u32 fits in usize")
    }

    #[inline]
    fn next_probe(&self, slot: usize) -> usize {
        slot.wrapping_add(1) & self.words.len().wrapping_sub(1)
    }

    /// The distance from one slot to another.
    fn probe_distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.words.len().wrapping_sub(1)
    }
}

#[inline]
fn upper(word: u64) -> u32 {
    u32::try_from(word >> 32).expect("32 bits")
}

#[inline]
fn lower(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("32 bits")
}
