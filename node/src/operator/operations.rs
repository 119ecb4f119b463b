//! The operator's requests at the admin socket, and the errors they can end with. They never move
//! money.

use evenkeel_wire::{
    id::{AccountId, KeyId},
    key::Role as KeyRole,
    outcome::Rejection,
};
use futures_util::future::BoxFuture;

use super::status::{ClosedDay, CreatedKey, JournalEntry, KnownKey, Status, Switchover};
use crate::replay::verify_report::VerifyReport;

/// Why an operator's request failed. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The request is invalid here: an unknown site or value.
    #[error("{0}")]
    Invalid(String),
    /// The ledger rejected it.
    #[error("{detail}")]
    Rejected { rejection: Rejection, detail: String },
    /// The request is valid, but not in the current state: this node isn't the primary, or the site
    /// lags too far.
    #[error("{0}")]
    Conflict(String),
    /// Temporarily unavailable; nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// It was started, and its result is unknown.
    #[error("{0}")]
    Unknown(String),
    /// The node is faulty.
    #[error("{0}")]
    Failed(String),
}

/// The operator's requests to a node.
pub trait Operations: Send + Sync + 'static {
    /// Must not block: it answers even while everything else hangs.
    fn status(&self) -> Status;

    /// Hands the primary role to the node at this site; answers when the new primary has committed.
    fn switchover(&self, to: String) -> BoxFuture<'_, Result<Switchover, AdminError>>;

    /// At most `limit` entries from this position on; without a position, the newest ones.
    fn journal(
        &self,
        from: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JournalEntry>, AdminError>>;

    /// Verifies this node's journal while it runs.
    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, AdminError>>;

    /// Creates a key; its text is in the answer and nowhere else.
    fn create_key(
        &self,
        role: KeyRole,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<CreatedKey, AdminError>>;

    /// All keys, revoked ones too, in the order of their numbers.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<KnownKey>, AdminError>>;

    /// Revokes a key; answers when no reachable site accepts it.
    fn revoke_key(&self, id: KeyId) -> BoxFuture<'_, Result<(), AdminError>>;

    /// Ends the business day now; the next date is the day after.
    fn close_day(&self) -> BoxFuture<'_, Result<ClosedDay, AdminError>>;
}
