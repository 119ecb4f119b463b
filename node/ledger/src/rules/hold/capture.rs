//! Capturing a hold: the merchant takes its amount or a part of it, and the rest is released.

use evenkeel_wire::{hold::Capture, outcome::Rejection, transfer::TransferKind};

use super::{HoldClosing, find_hold, find_parties};
use crate::{
    fault::LedgerFault,
    rules::{
        checks,
        context::CommandContext,
        verdict::{Committed, Stop},
    },
    tables::Tables,
};

/// A capture that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CaptureChange {
    closing: HoldClosing,
    amount: u64,
}

/// Judges a capture.
pub(crate) fn judge(
    tables: &Tables,
    capture: &Capture,
    context: &mut CommandContext<'_>,
) -> Result<CaptureChange, Stop> {
    if capture.amount.is_some_and(|amount| amount.to_balance_change().is_none()) {
        return Err(Rejection::AmountInvalid.into());
    }
    let found = find_hold(tables, capture.hold, context)?;
    let (debit, credit) = find_parties(tables, &found.hold)?;
    let accounts = &tables.accounts;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    checks::check_statuses(payer, payee)?;
    if !found.is_open {
        return Err(Rejection::HoldNotOpen.into());
    }
    let amount = capture.amount.map_or(found.hold.amount, |amount| amount.0);
    if amount > found.hold.amount {
        return Err(Rejection::CaptureExceedsHold.into());
    }
    let change = i64::try_from(amount).map_err(|_| Rejection::Overflow)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;

    let hold = (capture.hold, &found.hold);
    let mut closing = HoldClosing::plan(tables, hold, (debit, credit), context);
    closing.parties.debit.1.posted = debit_after;
    closing.parties.credit.1.posted = credit_after;
    Ok(CaptureChange { closing, amount })
}

/// Closes the hold and pays the merchant.
pub(crate) fn apply(tables: &mut Tables, change: &CaptureChange) -> Result<Committed, LedgerFault> {
    let CaptureChange { closing, amount } = *change;
    closing.apply(tables)?;
    let ((debit, payer), (credit, payee)) = (closing.parties.debit, closing.parties.credit);
    tables.count_movement(TransferKind::Payment, (debit, credit), amount)?;
    Ok(Committed { amount, debit_after: payer.posted, credit_after: payee.posted })
}
