//! The fields of an account that change: a checkpoint sets them aside, and a failed atomic group
//! restores them.

use evenkeel_wire::account::AccountStatus;

use super::{BalanceRow, extra::Extra};

/// The state of an account, without the fields that it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub(crate) posted: i64,
    /// The newest entry that changed it.
    pub(crate) changed_position: u64,
    pub(crate) debited_today: u64,
    pub(crate) debited_date: u32,
    pub(crate) status: AccountStatus,
    pub(crate) extra: Extra,
}

impl AccountState {
    pub(crate) fn from_row(row: &BalanceRow, extra: Extra) -> Self {
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
