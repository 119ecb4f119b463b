//! A blocked bloom filter (Putze, Sanders, Singler 2007): tells with one read of 64 bytes whether a
//! key may be in a section.
//!
//! ```text
//! line   0 480 bits   60 u32 crc32 of the segment's first position, the line's number, the bits
//! ```
//! About ten bits per key, six of them set: about 1 % of absent keys are reported as possibly
//! present. Present keys always are. A cleared bit would hide a command, so every line has its own
//! checksum.

use super::block::{self, BLOCK_BYTES, CHECKSUM_BYTES};
use super::layout::FilterLocation;
use crate::disk::File;
use crate::journal::index::{IndexError, Position};

pub(crate) const LINE_BYTES: usize = 64;
const LINE_BITS: u64 = 480;
const KEYS_PER_LINE: u32 = 48;
const PROBES: u32 = 6;
/// A filter fills whole blocks, so that it has no unchecked padding.
pub(crate) const LINES_PER_BLOCK: u32 = (BLOCK_BYTES / LINE_BYTES) as u32;
const _: () = assert!(BLOCK_BYTES.is_multiple_of(LINE_BYTES));
const _: () = assert!(LINE_BITS == 8 * (LINE_BYTES - CHECKSUM_BYTES) as u64);

/// The number of lines of a filter for `keys` keys.
pub(crate) fn lines_for(keys: u32) -> u32 {
    keys.div_ceil(KEYS_PER_LINE).next_multiple_of(LINES_PER_BLOCK)
}

/// A filter being built.
pub(crate) struct Filter {
    lines: Vec<[u8; LINE_BYTES]>,
}

impl Filter {
    pub(crate) fn for_keys(keys: u32) -> Self {
        let lines = usize::try_from(lines_for(keys)).expect("a u32 fits");
        Self { lines: vec![[0; LINE_BYTES]; lines] }
    }

    pub(crate) fn insert(&mut self, key: u128) {
        let lines = u32::try_from(self.lines.len()).expect("made from a u32");
        let place = KeyBits::for_key(key, lines);
        let line = &mut self.lines[usize::try_from(place.line).expect("a u32 fits")];
        for bit in place.bits() {
            line[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// The lines with their checksums; the first is written as line `first_line` of the file.
    pub(crate) fn into_lines(
        self,
        first: Position,
        first_line: u64,
    ) -> impl Iterator<Item = [u8; LINE_BYTES]> {
        (first_line..).zip(self.lines).map(move |(number, mut line)| {
            let bits = LINE_BYTES - CHECKSUM_BYTES;
            let checksum = block::checksum(first, number, &line[..bits]);
            line[bits..].copy_from_slice(&checksum.to_le_bytes());
            line
        })
    }
}

/// Whether `key` may be among the keys of the filter at `at`. `false` is certain.
pub(crate) fn may_contain(
    file: &dyn File,
    first: Position,
    at: FilterLocation,
    key: u128,
) -> Result<bool, IndexError> {
    if at.lines == 0 {
        return Ok(false);
    }
    let place = KeyBits::for_key(key, at.lines);
    let mut line = [0; LINE_BYTES];
    block::read_unit(file, first, at.first_line() + u64::from(place.line), &mut line)?;
    Ok(place.bits().all(|bit| line[bit / 8] & (1 << (bit % 8)) != 0))
}

/// The line of a key and the bits set in it. Part of the format: it never changes within a version.
struct KeyBits {
    line: u32,
    hash: u64,
}

impl KeyBits {
    fn for_key(key: u128, lines: u32) -> Self {
        let high = u64::try_from(key >> 64).expect("64 bits");
        let low = u64::try_from(key & u128::from(u64::MAX)).expect("64 bits");
        let hash = mix(low ^ mix(high ^ 0x9e37_79b9_7f4a_7c15));
        let line = ((hash >> 32) * u64::from(lines)) >> 32;
        let line = u32::try_from(line).expect("below the number of lines");
        Self { line, hash: mix(hash ^ 0xd1b5_4a32_d192_ed03) }
    }

    fn bits(&self) -> impl Iterator<Item = usize> {
        (0..PROBES).map(|probe| {
            let slice = (self.hash >> (10 * probe)) & 0x3ff;
            usize::try_from((slice * LINE_BITS) >> 10).expect("below 480")
        })
    }
}

/// Mixes all bits of a number (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number ^ (number >> 30);
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^= mixed >> 27;
    mixed = mixed.wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
