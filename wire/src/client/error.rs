//! The ways in which a call ends without an answer.

use crate::reply::Refusal;

/// A call ended without the ledger's answer. A rejection is an answer, so it isn't here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request itself is bad: sent again, it's refused again.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No site could take the request. Certainly nothing was done.
    #[error("unavailable, nothing was done: {0}")]
    Unavailable(String),
    /// The request may have been done, or may still be. Ask again with the same ids.
    #[error("the outcome is unknown, ask again with the same ids: {0}")]
    Unknown(String),
}

impl ClientError {
    /// The error of a call whose first `decided` commands were decided before this one failed.
    pub(crate) fn after_decided(self, decided: usize) -> Self {
        if decided == 0 {
            return self;
        }
        Self::Unknown(format!("the first {decided} commands were decided, then: {self}"))
    }
}
