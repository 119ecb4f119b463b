//! How a call can end without an answer.

use crate::reply::Refusal;

/// A call ended without an answer of the ledger. A rejection isn't one of these: it's an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request itself is bad: the same again would be refused again.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No site could take it. Certainly nothing was done.
    #[error("unavailable, nothing was done: {0}")]
    Unavailable(String),
    /// It may have been done, or may yet be. Ask again with the same ids.
    #[error("the outcome is unknown, ask again with the same ids: {0}")]
    Unknown(String),
}

impl ClientError {
    /// The same error of a later part of a call whose first `decided` commands were decided.
    pub(crate) fn after_decided(self, decided: usize) -> Self {
        if decided == 0 {
            return self;
        }
        Self::Unknown(format!("the first {decided} commands were decided, then: {self}"))
    }
}
