//! On-disk storage of one node: the journal, the checkpoint of balances, the vote and the
//! superblock.
//!
//! The crate is blocking and has a single writer. Every layout is encoded by hand, little-endian
//! unless a layout says otherwise; docs/STORAGE.md draws them. The crate never decodes a command: a
//! payload is bytes, an outcome is a row of numbers. It doesn't depend on an async runtime, a
//! network or a consensus engine.
//!
//! In reading order:
//!
//! - [`disk`]: the seam to the file system: real files, or files in memory with simulated crashes.
//! - [`bytes_at`]: little-endian numbers at an offset, used by every layout below.
//! - [`superblock`]: which cluster and node own a data folder, and the lock against a second
//!   process.
//! - [`vote`]: the vote of this node in its newest term.
//! - [`memory`]: what this node remembers of every member's copy.
//! - [`journal`]: the source of truth: records in segments, each linked to the one before, with an
//!   index file beside every sealed segment.
//! - [`balances`]: the checkpoint in sled: derived from the journal, verified at load, rebuilt when
//!   a check fails.
#![warn(missing_docs)]

use std::fmt;

pub mod balances;
pub mod bytes_at;
pub mod disk;
pub mod journal;
pub mod memory;
pub mod superblock;
pub mod vote;

/// The number of a record in the journal, counted from 0 without gaps.
pub type Position = u64;

/// The number of an election; in a record, the term of the primary that made it.
pub type Term = u64;

/// The id of a cluster (a UUID, big-endian). The superblock and every journal segment carry it, so
/// that files of another cluster are rejected.
pub type ClusterId = [u8; 16];

/// The blake3 hash that links a record to all records before it. Displayed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub [u8; 32]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Link;

    #[test]
    fn a_link_is_shown_as_64_hex_digits() {
        let mut bytes = [0; 32];
        bytes[0] = 0x0f;
        bytes[31] = 0xa0;
        let text = Link(bytes).to_string();
        assert_eq!(text.len(), 64);
        assert!(text.starts_with("0f00") && text.ends_with("00a0"));
        assert_eq!(format!("{:?}", Link(bytes)), text);
    }
}
