//! Releasing a hold: its amount is available again. No account's status is checked, since no money
//! moves.

use evenkeel_wire::id::CommandId;

use super::{HoldClosing, find_parties};
use crate::{
    fault::LedgerFault,
    rules::{
        context::CommandContext,
        verdict::{Committed, Stop},
    },
    tables::{Tables, holds::OpenHold},
};

/// A void or an expiry that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseChange {
    closing: HoldClosing,
    amount: u64,
}

impl ReleaseChange {
    pub(super) fn plan(
        tables: &Tables,
        (id, hold): (CommandId, &OpenHold),
        context: &CommandContext<'_>,
    ) -> Result<Self, Stop> {
        let slots = find_parties(tables, hold)?;
        let closing = HoldClosing::plan(tables, (id, hold), slots, context);
        Ok(Self { closing, amount: hold.amount })
    }
}

/// Closes the hold.
pub(crate) fn apply(tables: &mut Tables, change: &ReleaseChange) -> Result<Committed, LedgerFault> {
    change.closing.apply(tables)?;
    Ok(Committed::amount(change.amount))
}
