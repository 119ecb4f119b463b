//! Moving money from one account to another. The order of the checks is that of the numbers of `Rejection`.

use evenkeel_wire::{outcome::Rejection, transfer::Transfer};

use super::checks;
use crate::tables::accounts::{Accounts, DailyDebits};

/// What a transfer that passed every check changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferPlan {
    pub(crate) debit: u32,
    pub(crate) credit: u32,
    pub(crate) debit_after: i64,
    pub(crate) credit_after: i64,
    /// Where the debit counts for the day.
    pub(crate) debited: Option<DailyDebits>,
}

/// Judges a transfer whose id is new and of its time. `debit` and `credit` are the rows of its accounts.
#[inline]
pub(crate) fn judge(
    accounts: &Accounts,
    date: u32,
    transfer: &Transfer,
    debit: Option<u32>,
    credit: Option<u32>,
) -> Result<TransferPlan, Rejection> {
    let amount = transfer.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
    if transfer.debit == transfer.credit {
        return Err(Rejection::SameAccount);
    }
    let debit = debit.ok_or(Rejection::AccountNotFound)?;
    let credit = credit.ok_or(Rejection::AccountNotFound)?;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    if !checks::may_pay(transfer.kind, payer.kind, payee.kind) {
        return Err(Rejection::KindNotAllowed);
    }
    if accounts.asset(payer) != transfer.asset || accounts.asset(payee) != transfer.asset {
        return Err(Rejection::AssetMismatch);
    }
    checks::check_statuses(payer, payee)?;
    let extra = (payer.extra != 0).then(|| accounts.extra(payer));
    let debited = if checks::is_limited(transfer.kind) {
        Some(checks::check_limits(payer, extra.as_ref(), transfer.amount.0, date)?)
    } else {
        None
    };
    checks::check_funds(payer, extra.as_ref(), amount)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, amount)?;
    Ok(TransferPlan { debit, credit, debit_after, credit_after, debited })
}
