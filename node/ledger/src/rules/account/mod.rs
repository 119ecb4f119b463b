//! Opening accounts, and changing their status and limits.

pub(crate) mod limits;
pub(crate) mod open;
pub(crate) mod status;

use super::verdict::Committed;
use crate::{
    fault::LedgerFault,
    tables::{Tables, accounts::account_state::AccountState},
};

/// An account and its state after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountChange {
    slot: u32,
    state: AccountState,
}

/// Makes a change of status or limits.
pub(crate) fn apply(tables: &mut Tables, change: &AccountChange) -> Result<Committed, LedgerFault> {
    tables.accounts.set_state(change.slot, &change.state)?;
    Ok(Committed::NOTHING)
}
