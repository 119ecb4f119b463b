//! Refunds: a payment or a part of it moves back from the merchant to the wallet.
//!
//! All refunds of a payment together never exceed it. Limits of debits don't apply, the freeze of
//! a merchant does.

use evenkeel_wire::{id::CommandId, outcome::Rejection, refund::Refund, transfer::TransferKind};

use super::{ReturnChange, apply_return, find_parties, judge_return};
use crate::{
    fault::LedgerFault,
    rules::{
        checks,
        context::CommandContext,
        facts,
        verdict::{Committed, Stop},
    },
    tables::Tables,
};

/// A refund that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefundChange {
    payment: CommandId,
    /// The payment's amount.
    of_payment: u64,
    back: ReturnChange,
}

/// Judges a refund.
pub(crate) fn judge(
    tables: &Tables,
    refund: &Refund,
    context: &mut CommandContext<'_>,
) -> Result<RefundChange, Stop> {
    if refund.amount.is_some_and(|amount| amount.to_balance_change().is_none()) {
        return Err(Rejection::AmountInvalid.into());
    }
    let payment = facts::find_payment(refund.payment, &mut context.committed_lookup(tables))?;
    if !context.may_touch(payment.credit) {
        return Err(Rejection::PaymentNotFound.into());
    }
    let (debit, credit) = find_parties(tables, &payment)?;
    let refunded = tables.refunds.total(refund.payment);
    let left = payment.amount.checked_sub(refunded).ok_or_else(|| {
        LedgerFault::new(format!(
            "payment {} of {}: {refunded} were refunded",
            refund.payment, payment.amount
        ))
    })?;
    checks::check_statuses(tables.accounts.row(debit), tables.accounts.row(credit))?;
    let amount = refund.amount.map_or(left, |amount| amount.0);
    if amount == 0 || amount > left {
        return Err(Rejection::RefundExceedsPayment.into());
    }
    let kind = TransferKind::Refund;
    let back = judge_return(tables, kind, (debit, credit), amount, context.position())?;
    Ok(RefundChange { payment: refund.payment, of_payment: payment.amount, back })
}

/// Moves the money and adds it to the payment's refunded total.
pub(crate) fn apply(tables: &mut Tables, change: &RefundChange) -> Result<Committed, LedgerFault> {
    tables.add_refund(change.payment, change.back.amount, change.of_payment)?;
    apply_return(tables, &change.back)
}
