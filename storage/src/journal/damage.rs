//! What is wrong with a journal: said once, with the place, and never repaired here.

use std::io;
use std::path::Path;

use crate::Position;

/// Bytes that are not what was written, or not what belongs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at offset {offset}, position {position}: {what}")]
pub struct Damage {
    /// The file's path.
    pub file: String,
    /// Where in the file the frame, header or footer with the damage begins.
    pub offset: u64,
    /// The record that is damaged, or the first one behind the damage.
    pub position: Position,
    /// Which rule it breaks.
    pub what: String,
}

impl Damage {
    pub(crate) fn new(
        path: &Path,
        offset: u64,
        position: Position,
        what: impl Into<String>,
    ) -> Self {
        Self { file: path.display().to_string(), offset, position, what: what.into() }
    }
}

/// Damage, or a disk that does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fault {
    /// For reports in which a file that cannot be read is damage like any other.
    pub(crate) fn into_damage(self, path: &Path, position: Position) -> Damage {
        match self {
            Self::Damaged(damage) => damage,
            Self::Io(error) => Damage::new(path, 0, position, format!("cannot be read: {error}")),
        }
    }
}
