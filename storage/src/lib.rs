//! What stays on disk: the journal, the balances' checkpoint, the vote and the superblock.
//!
//! Blocking and single-writer. It lays its bytes out by hand and never decodes a command: a payload
//! is bytes, an outcome is a row of numbers. It knows no runtime, no network and no consensus engine.
//!
//! In reading order:
//!
//! - [`disk`]: the seam to the file system, real or crashing on purpose.
//! - [`bytes_at`]: little-endian numbers at an offset, for every layout below.
//! - [`superblock`]: whose data folder this is, and the lock against a second process.
//! - [`vote`]: the promise this node made in the current term.
//! - [`journal`]: the truth: records in segments, each linked to the one before, and indexes beside them.
//! - [`balances`]: the checkpoint in sled: derived, verified, rebuilt when it can't be trusted.
#![warn(missing_docs)]

use std::fmt;

pub mod balances;
pub mod bytes_at;
pub mod disk;
pub mod journal;
pub mod superblock;
pub mod vote;

/// The number of a record in the journal. The first is 0 and there are no gaps.
pub type Position = u64;

/// The election number of the primary that made a record.
pub type Term = u64;

/// Names a cluster; every file that could be mistaken for another cluster's carries it.
pub type ClusterId = [u8; 16];

/// The blake3 that ties a record to all records before it.
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
