//! What the operator may ask of a node at the admin socket, and why a request may fail. Never money.

use evenkeel_wire::{
    id::{AccountId, KeyId},
    key::Role as KeyRole,
    outcome::Rejection,
};
use futures_util::future::BoxFuture;

use super::status::{ClosedDay, CreatedKey, JournalEntry, KnownKey, Status, Switchover};
use crate::replay::verify_report::VerifyReport;

/// Why an operator's wish wasn't fulfilled. The text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The request makes no sense here: no such site, no such value.
    #[error("{0}")]
    Invalid(String),
    /// The ledger said no.
    #[error("{detail}")]
    Rejected { rejection: Rejection, detail: String },
    /// It makes sense, but not as things stand: this node isn't primary, the site lags too far.
    #[error("{0}")]
    Conflict(String),
    /// Not now; nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// It was begun, and how it ended isn't known.
    #[error("{0}")]
    Unknown(String),
    /// The node is unwell.
    #[error("{0}")]
    Failed(String),
}

/// What the node lets its operator do.
pub trait Operations: Send + Sync + 'static {
    /// Must not wait: it answers while everything else hangs.
    fn status(&self) -> Status;

    /// Hands the primary role to the node at this site; answers when the new primary has committed.
    fn switchover(&self, to: String) -> BoxFuture<'_, Result<Switchover, AdminError>>;

    /// At most `limit` entries from this position on; the newest ones when none is named.
    fn journal(
        &self,
        from: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JournalEntry>, AdminError>>;

    /// Walks this node's journal while it runs.
    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, AdminError>>;

    /// Makes a key; its text is in the answer and nowhere else.
    fn create_key(
        &self,
        role: KeyRole,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<CreatedKey, AdminError>>;

    /// All keys, revoked ones too, in the order of their numbers.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<KnownKey>, AdminError>>;

    /// Ends a key; answers when no site that can be reached takes it any more.
    fn revoke_key(&self, id: KeyId) -> BoxFuture<'_, Result<(), AdminError>>;

    /// Ends the business day now; the next date is the day after.
    fn close_day(&self) -> BoxFuture<'_, Result<ClosedDay, AdminError>>;
}
