//! Finding things by id: a table from 128-bit ids to numbers below 2^32.
//!
//! Linear probing over one word each: the upper half is a tag out of the id's hash, the lower half the number plus
//! one, 0 means free. The ids themselves stand where the number points to; whoever asks compares them there. Clients
//! choose ids, so the hash has a seed that differs from process to process; nothing that shows depends on it.

use std::hash::BuildHasher;

use super::{memory::MemoryAdvice, mix, prefetch};

/// Makes hashes unpredictable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashSeed([u64; 2]);

/// An id's hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHash(u64);

impl HashSeed {
    /// Another one each time.
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
    /// A number below 256 that tags don't depend on.
    #[inline]
    pub(crate) fn shard(self) -> usize {
        usize::try_from(self.0 & 0xff).expect("below 256")
    }

    /// The upper half: picks the place and tells neighbours apart.
    #[inline]
    fn tag(self) -> u32 {
        upper(self.0)
    }
}

/// Tags and numbers. It doesn't grow by itself: see [`Self::is_crowded`].
#[derive(Debug)]
pub(crate) struct IdTable {
    words: Vec<u64>,
    bits: u32,
    used: usize,
}

impl IdTable {
    /// With room for 2^`bits` words; half of them can be used before it's crowded.
    pub(crate) fn new(bits: u32, advice: MemoryAdvice) -> Self {
        assert!((1..=31).contains(&bits), "a table of 2^{bits} words");
        let mut words = vec![0; 1 << bits];
        advice.prefer_huge_pages(&mut words);
        Self { words, bits, used: 0 }
    }

    /// Whether one more makes searches long.
    pub(crate) fn is_crowded(&self) -> bool {
        self.used >= self.words.len() / 2
    }

    /// The number under this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: IdHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = hash.tag();
        let mut place = self.home_index(tag);
        loop {
            let word = self.words[place];
            if word == 0 {
                return None;
            }
            if upper(word) == tag {
                let number = lower(word).wrapping_sub(1);
                if is_it(number) {
                    return Some(number);
                }
            }
            place = self.next_probe(place);
        }
    }

    /// The first number that could be under this hash: right unless another id shares its tag.
    #[inline]
    pub(crate) fn first_candidate(&self, hash: IdHash) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a number that isn't in it.
    ///
    /// # Panics
    /// When the table is full: its owner grows or replaces it as soon as it's crowded.
    #[inline]
    pub(crate) fn insert(&mut self, hash: IdHash, number: u32) {
        let after = number.checked_add(1).expect("numbers stay below 2^32 - 1");
        self.insert_word((u64::from(hash.tag()) << 32) | u64::from(after));
    }

    /// Takes a number out that is in it, and moves up those that had made way for it.
    pub(crate) fn remove(&mut self, hash: IdHash, number: u32) {
        let after = number.checked_add(1).expect("numbers stay below 2^32 - 1");
        let word = (u64::from(hash.tag()) << 32) | u64::from(after);
        let mut gap = self.home_index(hash.tag());
        while self.words[gap] != word {
            assert!(self.words[gap] != 0, "what is taken out of the table of ids is in it");
            gap = self.next_probe(gap);
        }
        let mut place = self.next_probe(gap);
        while self.words[place] != 0 {
            let begins = self.home_index(upper(self.words[place]));
            if self.probe_distance(begins, place) >= self.probe_distance(gap, place) {
                self.words[gap] = self.words[place];
                gap = place;
            }
            place = self.next_probe(place);
        }
        self.words[gap] = 0;
        self.used = self.used.wrapping_sub(1);
    }

    /// Asks for the memory that a search under this hash begins with.
    #[inline]
    pub(crate) fn prefetch(&self, hash: IdHash) {
        prefetch::prefetch(&self.words[self.home_index(hash.tag())]);
    }

    /// Twice the room.
    pub(crate) fn grow(&mut self, advice: MemoryAdvice) {
        let bits = self.bits.checked_add(1).expect("at most 31");
        let smaller = std::mem::replace(self, Self::new(bits, advice));
        for word in smaller.words.into_iter().filter(|word| *word != 0) {
            self.insert_word(word);
        }
    }

    #[inline]
    fn insert_word(&mut self, word: u64) {
        // One word always stays free: it ends every search.
        self.used = self.used.wrapping_add(1);
        assert!(self.used < self.words.len(), "the table of ids is full");
        let mut place = self.home_index(upper(word));
        while self.words[place] != 0 {
            place = self.next_probe(place);
        }
        self.words[place] = word;
    }

    #[inline]
    fn home_index(&self, tag: u32) -> usize {
        let place = tag >> (u32::BITS.wrapping_sub(self.bits));
        usize::try_from(place).expect("a u32 fits in usize")
    }

    #[inline]
    fn next_probe(&self, place: usize) -> usize {
        place.wrapping_add(1) & self.words.len().wrapping_sub(1)
    }

    /// How far a place lies behind another.
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
