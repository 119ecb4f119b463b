//! Refunds and reversals: money moves back from the account that a movement paid to the one that
//! it was paid from.

pub(crate) mod refund;
pub(crate) mod reversal;

use evenkeel_wire::{id::AccountId, outcome::Rejection, transfer::TransferKind};

use super::{
    checks,
    facts::MovementFacts,
    verdict::{Committed, Stop},
};
use crate::{fault::LedgerFault, tables::Tables};

/// A movement back that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReturnChange {
    kind: TransferKind,
    amount: u64,
    debit: u32,
    credit: u32,
    debit_after: i64,
    credit_after: i64,
    position: u64,
}

/// The slots of the account that pays back and of the account that is paid back.
fn find_parties(tables: &Tables, movement: &MovementFacts) -> Result<(u32, u32), LedgerFault> {
    let find = |account: AccountId| {
        let missing = || LedgerFault::new(format!("account {account} of a movement is missing"));
        tables.accounts.find(account).ok_or_else(missing)
    };
    Ok((find(movement.credit)?, find(movement.debit)?))
}

/// Whether one account has the amount and the other may hold it. Limits of debits don't apply.
fn judge_return(
    tables: &Tables,
    kind: TransferKind,
    (debit, credit): (u32, u32),
    amount: u64,
    position: u64,
) -> Result<ReturnChange, Stop> {
    let accounts = &tables.accounts;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    let change = i64::try_from(amount).map_err(|_| Rejection::Overflow)?;
    checks::check_funds(payer, Some(&accounts.extra(payer)), change)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;
    Ok(ReturnChange { kind, amount, debit, credit, debit_after, credit_after, position })
}

fn apply_return(tables: &mut Tables, change: &ReturnChange) -> Result<Committed, LedgerFault> {
    let ReturnChange { kind, amount, debit, credit, debit_after, credit_after, position } = *change;
    tables.accounts.set_posted(debit, debit_after, None, position)?;
    tables.accounts.set_posted(credit, credit_after, None, position)?;
    tables.count_movement(kind, (debit, credit), amount)?;
    Ok(Committed { amount, debit_after, credit_after })
}
