//! Changing an account's limits: all that are named, or none. A changed limit affects later
//! commands only: the account's balance and its debits so far aren't checked against it.

use evenkeel_wire::{
    account::{AccountStatus, SetLimits},
    outcome::Rejection,
};

use super::AccountChange;
use crate::{
    rules::{context::CommandContext, verdict::Stop},
    tables::{
        Tables,
        accounts::{account_state::AccountState, extra},
    },
};

/// Judges a change of limits.
pub(crate) fn judge(
    tables: &Tables,
    change: &SetLimits,
    context: &CommandContext<'_>,
) -> Result<AccountChange, Stop> {
    if !extra::are_valid(&change.limits) {
        return Err(Rejection::AmountInvalid.into());
    }
    let slot = tables.accounts.find(change.account).ok_or(Rejection::AccountNotFound)?;
    let state = tables.accounts.account_state(slot);
    if state.status == AccountStatus::Closed {
        return Err(Rejection::AccountClosed.into());
    }
    let extra = state.extra.with_limits(&change.limits);
    let changed_position = context.position();
    Ok(AccountChange { slot, state: AccountState { extra, changed_position, ..state } })
}
