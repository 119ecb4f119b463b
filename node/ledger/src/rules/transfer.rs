//! Moving money from one account to another.

use evenkeel_wire::{
    outcome::Rejection,
    transfer::{Transfer, TransferKind},
};

use super::{
    checks,
    verdict::{Committed, Stop},
};
use crate::{
    containers::ids::IdHash,
    fault::LedgerFault,
    tables::{Tables, accounts::DailyDebits},
};

/// A transfer that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferChange {
    kind: TransferKind,
    amount: u64,
    debit: u32,
    credit: u32,
    debit_after: i64,
    credit_after: i64,
    /// The day's debits with this one, if it counts.
    debited: Option<DailyDebits>,
    position: u64,
}

/// Judges a transfer with a new and fresh id. The hashes are those of its accounts' ids.
#[inline]
pub(crate) fn judge(
    tables: &Tables,
    transfer: &Transfer,
    (debit_hash, credit_hash): (IdHash, IdHash),
    position: u64,
) -> Result<TransferChange, Stop> {
    let accounts = &tables.accounts;
    let debit = accounts.find_hashed(transfer.debit, debit_hash);
    let credit = accounts.find_hashed(transfer.credit, credit_hash);
    let change = transfer.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
    if transfer.debit == transfer.credit {
        return Err(Rejection::SameAccount.into());
    }
    let debit = debit.ok_or(Rejection::AccountNotFound)?;
    let credit = credit.ok_or(Rejection::AccountNotFound)?;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    if !checks::may_pay(transfer.kind, payer.kind, payee.kind) {
        return Err(Rejection::KindNotAllowed.into());
    }
    checks::check_assets(accounts, payer, payee, transfer.asset)?;
    checks::check_statuses(payer, payee)?;
    let extra = (payer.extra != 0).then(|| accounts.extra(payer));
    let amount = transfer.amount.0;
    let debited = if checks::is_limited(transfer.kind) {
        Some(checks::check_limits(payer, extra.as_ref(), amount, tables.date_number())?)
    } else {
        None
    };
    checks::check_funds(payer, extra.as_ref(), change)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;
    let kind = transfer.kind;
    Ok(TransferChange { kind, amount, debit, credit, debit_after, credit_after, debited, position })
}

/// Moves the money.
#[inline]
pub(crate) fn apply(
    tables: &mut Tables,
    change: &TransferChange,
) -> Result<Committed, LedgerFault> {
    let TransferChange { kind, amount, debit, credit, debit_after, credit_after, .. } = *change;
    #[cfg(any(test, evenkeel_planted))]
    let credit_after = credit_after.saturating_add(i64::from(tables.planted_leak));
    tables.accounts.set_posted(debit, debit_after, change.debited, change.position)?;
    tables.accounts.set_posted(credit, credit_after, None, change.position)?;
    tables.count_movement(kind, (debit, credit), amount)?;
    Ok(Committed { amount, debit_after, credit_after })
}
