//! Moving money from one account to another. The order of the checks is the contract: the numbers of `Rejection`.

use evenkeel_wire::{
    account::AccountKind,
    id::CommandId,
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::{Transfer, TransferKind},
};

use super::{
    accounts::{Accounts, may_go_below_zero},
    genesis::IdWindow,
};

/// What a transfer that passed every check changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) debit: u32,
    pub(super) credit: u32,
    pub(super) debit_after: i64,
    pub(super) credit_after: i64,
}

/// Judges a transfer whose id is found nowhere. `debit` and `credit` are the rows of its accounts.
#[inline]
pub(super) fn judge(
    accounts: &Accounts,
    window: IdWindow,
    transfer: &Transfer,
    debit: Option<u32>,
    credit: Option<u32>,
) -> Result<Movement, Rejection> {
    fresh(transfer.id, window)?;
    let amount = transfer.amount.valid().ok_or(Rejection::AmountInvalid)?;
    if transfer.debit == transfer.credit {
        return Err(Rejection::SameAccount);
    }
    let debit = debit.ok_or(Rejection::AccountNotFound)?;
    let credit = credit.ok_or(Rejection::AccountNotFound)?;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    if !may_pay(transfer.kind, payer.kind, payee.kind) {
        return Err(Rejection::KindNotAllowed);
    }
    if payer.asset != transfer.asset || payee.asset != transfer.asset {
        return Err(Rejection::AssetMismatch);
    }
    if !may_go_below_zero(payer.kind) && payer.posted < amount {
        return Err(Rejection::InsufficientFunds);
    }
    let debit_after = payer.posted.checked_sub(amount).ok_or(Rejection::Overflow)?;
    let credit_after = payee.posted.checked_add(amount).ok_or(Rejection::Overflow)?;
    if u64::try_from(credit_after).is_ok_and(|after| after > payee.max_balance) {
        return Err(Rejection::MaxBalanceExceeded);
    }
    if debit_after.unsigned_abs() > AMOUNT_MAX || credit_after.unsigned_abs() > AMOUNT_MAX {
        return Err(Rejection::Overflow);
    }
    Ok(Movement { debit, credit, debit_after, credit_after })
}

#[inline]
fn fresh(id: CommandId, window: IdWindow) -> Result<(), Rejection> {
    let milliseconds = id.milliseconds();
    if milliseconds > window.newest_ms {
        return Err(Rejection::IdInFuture);
    }
    if milliseconds < window.oldest_ms {
        return Err(Rejection::IdExpired);
    }
    Ok(())
}

/// Which kinds of accounts a kind of transfer joins.
#[inline]
fn may_pay(kind: TransferKind, payer: AccountKind, payee: AccountKind) -> bool {
    use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
    match kind {
        TransferKind::TopUp => (payer, payee) == (Bank, Wallet),
        TransferKind::Transfer => (payer, payee) == (Wallet, Wallet),
        TransferKind::Payment => (payer, payee) == (Wallet, Merchant),
        TransferKind::CashOut => matches!((payer, payee), (Wallet | Merchant, Bank)),
        TransferKind::Fee => matches!((payer, payee), (Wallet | Merchant, Fee)),
        TransferKind::Grant => (payer, payee) == (Issuer, Wallet),
        // They come about only by refunding and reversing.
        TransferKind::Refund | TransferKind::Reversal => false,
    }
}
