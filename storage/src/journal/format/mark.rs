//! Marks: how much of the journal is durable on this node and committed. They stand between
//! records, outside the chain.
//!
//! ```text
//!  0 magic "EKM\x01"
//!  4 u32   crc32 of cluster ‖ u64 first position of the segment ‖ u64 offset of the mark
//!          ‖ magic ‖ bytes 8..24
//!  8 u64   durable position + 1; 0 for none
//! 16 u64   committed position + 1; 0 for none
//! ```
//! A mark stands before every batch and claims only records that were synced before the batch was
//! written. A damaged record that a later mark claims was acknowledged; one that no mark claims was
//! torn by a crash. The checksum covers the mark's location, so that payload bytes never pass for a
//! mark.

use crate::bytes_at::{read_u32, read_u64, write_array, write_u32, write_u64};
use crate::{ClusterId, Position};

pub(crate) const MARK_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"EKM\x01";

/// One mark. Counts are positions + 1; 0 stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of records known to be synced.
    pub(crate) durable: u64,
    /// The number of those known to be committed.
    pub(crate) committed: u64,
}

/// The location of a mark, part of its checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MarkLocation {
    pub(crate) cluster: ClusterId,
    pub(crate) first: Position,
    pub(crate) offset: u64,
}

impl Mark {
    pub(crate) fn encode(&self, place: &MarkLocation) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        write_array(&mut bytes, 0, &MAGIC);
        write_u64(&mut bytes, 8, self.durable);
        write_u64(&mut bytes, 16, self.committed);
        let checksum = checksum(&bytes, place);
        write_u32(&mut bytes, 4, checksum);
        bytes
    }

    /// Decodes the mark at the start of `bytes`; `None` if it isn't whole.
    pub(crate) fn decode(bytes: &[u8], place: &MarkLocation) -> Option<Self> {
        if !Self::has_mark_magic(bytes) || bytes.len() < MARK_BYTES {
            return None;
        }
        if checksum(bytes, place) != read_u32(bytes, 4) {
            return None;
        }
        Some(Self { durable: read_u64(bytes, 8), committed: read_u64(bytes, 16) })
    }

    /// Whether `bytes` start with the magic of a mark, whole or not.
    pub(crate) fn has_mark_magic(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

fn checksum(mark: &[u8], place: &MarkLocation) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.cluster);
    hasher.update(&place.first.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.update(&mark[..4]);
    hasher.update(&mark[8..MARK_BYTES]);
    hasher.finalize()
}
