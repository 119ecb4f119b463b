//! Freezing, unfreezing and closing accounts. An account that is closed stays so.

use evenkeel_wire::{
    account::{AccountStatus, SetStatus},
    outcome::Rejection,
};

use crate::tables::accounts::{Accounts, account_state::AccountState};

/// Judges a change of status; gives the account and how it stands after it.
pub(crate) fn judge(
    accounts: &Accounts,
    change: &SetStatus,
    position: u64,
) -> Result<(u32, AccountState), Rejection> {
    let slot = accounts.find(change.account).ok_or(Rejection::AccountNotFound)?;
    let standing = accounts.account_state(slot);
    if standing.status == AccountStatus::Closed {
        return Err(Rejection::AccountClosed);
    }
    let is_empty =
        standing.posted == 0 && standing.extra.held == 0 && standing.extra.incoming_holds == 0;
    if change.status == AccountStatus::Closed && !is_empty {
        return Err(Rejection::AccountNotEmpty);
    }
    Ok((slot, AccountState { status: change.status, changed_position: position, ..standing }))
}
