//! What the checkpoint can say other than yes.

use std::io;

/// Why a checkpoint was not read or written. The journal is untouched by all of these.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// What is there cannot be trusted, or sled panicked over it. Set the folder aside and rebuild.
    #[error("balances are damaged: {0}")]
    Damaged(String),
    /// The disk refused: full, failing, or the folder is in use by another process. The folder may
    /// well be whole: open it again later.
    #[error("balances cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// No answer in time. The thread that waits is left behind; treat the folder as damaged.
    #[error("balances gave no answer within {seconds} s while {doing}")]
    Stalled {
        /// What was asked.
        doing: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The marker does not describe the rows that were put: a row was forgotten or put wrongly.
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
    /// The caller of `load` refused a row.
    #[error("a row of the balances was refused: {0}")]
    Refused(String),
    /// `put` or `finish` without `begin`, or `finish` with another generation's marker.
    #[error("balances were written out of order: {0}")]
    OutOfOrder(String),
    /// An earlier error ended the use of this handle.
    #[error("balances are closed since an earlier error: {0}")]
    Closed(String),
}

impl CheckpointError {
    /// Whether the folder is to be set aside and rebuilt from the journal.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Stalled { .. })
    }

    /// Whether the table may no longer be what the handle believes it to be.
    pub(crate) fn ends_use(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Io(_) | Self::Stalled { .. })
    }
}
