//! Damage found in a journal, with its location. Nothing here repairs it.

use std::io;
use std::path::Path;

use crate::Position;

/// Bytes that differ from what was written, or that don't belong at their offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at offset {offset}, position {position}: {what}")]
pub struct Damage {
    /// The file's path.
    pub file: String,
    /// The byte offset at which the damaged frame, header or footer begins.
    pub offset: u64,
    /// The damaged record, or the first one after the damage.
    pub position: Position,
    /// The rule that is broken.
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

/// Damage, or a failed disk operation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Fault {
    /// Converts to damage, for reports that treat an unreadable file as damaged.
    pub(crate) fn into_damage(self, path: &Path, position: Position) -> Damage {
        match self {
            Self::Damaged(damage) => damage,
            Self::Io(error) => Damage::new(path, 0, position, format!("can't be read: {error}")),
        }
    }
}
