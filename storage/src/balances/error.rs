//! Errors of a checkpoint.

use std::io;

/// Why a checkpoint can't be read or written. None of these affects the journal.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The content failed a check, or sled panicked. Set the folder aside and rebuild.
    #[error("balances are damaged: {0}")]
    Damaged(String),
    /// A disk operation failed: the disk is full or failing, or another process uses the folder.
    /// The folder may be intact: open it again later.
    #[error("balances can't be read or written: {0}")]
    Io(#[from] io::Error),
    /// No answer in time. The blocked thread is left running; treat the folder as damaged.
    #[error("balances gave no answer within {seconds} s while {doing}")]
    Stalled {
        /// The operation.
        doing: &'static str,
        /// The timeout.
        seconds: u64,
    },
    /// The marker doesn't describe the rows that were put: a row is missing or wrong.
    #[error("balances disagree with the marker: {0}")]
    Disagrees(String),
    /// A row or marker is larger than its limit.
    #[error("{what} of {bytes} is larger than {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size, in bytes or items.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The caller of `load` rejected a row.
    #[error("a row of the balances was refused: {0}")]
    Refused(String),
    /// `put` or `finish` without `begin`, or `finish` with another generation's marker.
    #[error("balances were written out of order: {0}")]
    OutOfOrder(String),
    /// An earlier error closed this handle.
    #[error("balances are closed since an earlier error: {0}")]
    Closed(String),
}

impl CheckpointError {
    /// Whether the folder must be set aside and rebuilt from the journal.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Stalled { .. })
    }

    /// Whether the table's state may differ from the handle's.
    pub(crate) fn ends_use(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Io(_) | Self::Stalled { .. })
    }
}
