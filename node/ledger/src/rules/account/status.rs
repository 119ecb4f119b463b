//! Freezing, unfreezing and closing accounts. A closed account stays closed.

use evenkeel_wire::{
    account::{AccountStatus, SetStatus},
    outcome::Rejection,
};

use super::AccountChange;
use crate::{
    rules::{context::CommandContext, verdict::Stop},
    tables::{Tables, accounts::account_state::AccountState},
};

/// Judges a change of status.
pub(crate) fn judge(
    tables: &Tables,
    change: &SetStatus,
    context: &CommandContext<'_>,
) -> Result<AccountChange, Stop> {
    let slot = tables.accounts.find(change.account).ok_or(Rejection::AccountNotFound)?;
    let state = tables.accounts.account_state(slot);
    if state.status == AccountStatus::Closed {
        return Err(Rejection::AccountClosed.into());
    }
    let is_empty = state.posted == 0 && state.extra.held == 0 && state.extra.incoming_holds == 0;
    if change.status == AccountStatus::Closed && !is_empty {
        return Err(Rejection::AccountNotEmpty.into());
    }
    let (status, changed_position) = (change.status, context.position());
    Ok(AccountChange { slot, state: AccountState { status, changed_position, ..state } })
}
