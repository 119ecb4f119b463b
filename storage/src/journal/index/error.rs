//! Why an index cannot be read. It is derived data: every one of these is cured by building it
//! anew.

use std::io;

use super::Position;

/// Why the index of one sealed segment cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is no index file.
    #[error("the segment at {first} has no index")]
    Missing {
        /// The segment's first position.
        first: Position,
    },
    /// The bytes are not those that were written.
    #[error("index of the segment at {first}, byte {offset}: {what}")]
    Damaged {
        /// The segment's first position.
        first: Position,
        /// Where in the file.
        offset: u64,
        /// Which rule refused.
        what: &'static str,
    },
    /// The file ends elsewhere than the segment: it belongs to another one.
    #[error("index of the segment at {first} ends at {found}, the segment at {expected}")]
    OtherSegment {
        /// The segment's first position.
        first: Position,
        /// The segment's last position.
        expected: Position,
        /// The last position that the index knows.
        found: Position,
    },
    /// The disk refused.
    #[error("index of the segment at {first}: {source}")]
    Io {
        /// The segment's first position.
        first: Position,
        /// What the disk said.
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
