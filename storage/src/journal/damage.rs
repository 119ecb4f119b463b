//! Damage found in a journal, with its location, and what only looks like it: a file that can't be
//! read for the moment. Nothing here repairs it.

use std::io;
use std::path::{Path, PathBuf};

use crate::Position;
use crate::disk::proves_damage;

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

/// Why a walk through the journal ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// The bytes aren't the ones written, or the medium can't return them.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A file wasn't read, which proves nothing about its bytes: no descriptor was free, or the
    /// process may not read it.
    #[error("{} can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the disk.
        source: io::Error,
    },
}

impl Fault {
    /// Adds the file and position that were being read. An error of the medium is damage.
    pub(crate) fn into_walk_error(self, path: &Path, position: Position) -> WalkError {
        match self {
            Self::Damaged(damage) => damage.into(),
            Self::Io(error) if proves_damage(&error) => {
                Damage::new(path, 0, position, format!("can't be read: {error}")).into()
            }
            Self::Io(source) => WalkError::Unreadable { path: path.to_path_buf(), source },
        }
    }
}
