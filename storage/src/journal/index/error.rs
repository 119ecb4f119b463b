//! Why an index can't be read. Rebuilding the index fixes each of these errors, except a failing
//! disk.

use std::io;

use super::Position;

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
