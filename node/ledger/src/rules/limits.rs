//! Changing an account's limits, all that are named or none. What it holds or has paid already isn't looked at: limits bind
//! what comes.

use evenkeel_wire::{
    account::{AccountStatus, SetLimits},
    outcome::Rejection,
};

use crate::tables::accounts::{Accounts, account_state::AccountState, extra};

/// Judges a change of limits; gives the account and how it stands after it.
pub(crate) fn judge(
    accounts: &Accounts,
    change: &SetLimits,
    position: u64,
) -> Result<(u32, AccountState), Rejection> {
    if !extra::are_valid(&change.limits) {
        return Err(Rejection::AmountInvalid);
    }
    let slot = accounts.find(change.account).ok_or(Rejection::AccountNotFound)?;
    let standing = accounts.account_state(slot);
    if standing.status == AccountStatus::Closed {
        return Err(Rejection::AccountClosed);
    }
    let extra = standing.extra.with_limits(&change.limits);
    Ok((slot, AccountState { extra, changed_position: position, ..standing }))
}
