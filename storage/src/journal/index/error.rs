//! Why an index can't be read. Rebuilding the index fixes each of these errors, except one of the
//! disk that proves no damage.

use std::io;

use super::Position;
use crate::disk::{is_transient, proves_damage};

/// Why the index of one sealed segment can't be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is no index file.
    #[error("the segment at {first} has no index")]
    Missing {
        /// The segment's first position.
        first: Position,
    },
    /// The bytes aren't the ones written.
    #[error("index of the segment at {first}, byte {offset}: {what}")]
    Damaged {
        /// The segment's first position.
        first: Position,
        /// The byte offset in the file.
        offset: u64,
        /// The rule that is broken.
        what: &'static str,
    },
    /// The index ends at another position than the segment: it belongs to another one.
    #[error("index of the segment at {first} ends at {found}, the segment at {expected}")]
    OtherSegment {
        /// The segment's first position.
        first: Position,
        /// The segment's last position.
        expected: Position,
        /// The last position in the index.
        found: Position,
    },
    /// A disk operation failed.
    #[error("index of the segment at {first}: {source}")]
    Io {
        /// The segment's first position.
        first: Position,
        /// The error of the disk.
        source: io::Error,
    },
}

impl IndexError {
    /// Whether the index must be built again. Otherwise nothing is known about its bytes.
    #[must_use]
    pub fn proves_damage(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Damaged { .. } | Self::OtherSegment { .. } => true,
            Self::Io { source, .. } => proves_damage(source),
        }
    }

    /// Whether the same may succeed later: no descriptor or memory was free.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_transient(source))
    }
}

impl From<IndexError> for io::Error {
    fn from(error: IndexError) -> Self {
        let kind = match &error {
            IndexError::Missing { .. } => io::ErrorKind::NotFound,
            IndexError::Damaged { .. } | IndexError::OtherSegment { .. } => {
                io::ErrorKind::InvalidData
            }
            IndexError::Io { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
