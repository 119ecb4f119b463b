//! The part of an account that changes: what a checkpoint sets aside, and what a failed atomic group puts back.

use evenkeel_wire::account::AccountStatus;

use super::{accounts::Row, extra::Extra};

/// An account as it stands, without what it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) posted: i64,
    /// The newest entry that changed it.
    pub(super) changed_position: u64,
    pub(super) debited_today: u64,
    pub(super) debited_date: u32,
    pub(super) status: AccountStatus,
    pub(super) extra: Extra,
}

impl Standing {
    pub(super) fn of(row: &Row, extra: Extra) -> Self {
        Self {
            posted: row.posted,
            changed_position: row.changed_position,
            debited_today: row.debited_today,
            debited_date: row.debited_date,
            status: row.status,
            extra,
        }
    }
}
