//! What more than one kind of command checks.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    id::CommandId,
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::TransferKind,
};

use crate::{
    genesis::IdWindow,
    tables::accounts::{Accounts, BalanceRow, DailyDebits, extra::Extra, may_go_below_zero},
};

/// Whether an id that is found nowhere is of its time.
#[inline]
pub(crate) fn check_freshness(id: CommandId, window: IdWindow) -> Result<(), Rejection> {
    let milliseconds = id.timestamp_ms();
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
pub(crate) fn may_pay(kind: TransferKind, payer: AccountKind, payee: AccountKind) -> bool {
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

/// Whether the limits for one debit and for a day's debits count transfers of this kind. Holds count too.
#[inline]
pub(crate) fn is_limited(kind: TransferKind) -> bool {
    matches!(
        kind,
        TransferKind::Transfer | TransferKind::Payment | TransferKind::CashOut | TransferKind::Fee
    )
}

/// Whether money may go from one to the other: to and from a closed account nothing goes, out of a frozen one neither.
#[inline]
pub(crate) fn check_statuses(payer: &BalanceRow, payee: &BalanceRow) -> Result<(), Rejection> {
    if payer.status == AccountStatus::Open && payee.status == AccountStatus::Open {
        return Ok(());
    }
    if payer.status == AccountStatus::Closed || payee.status == AccountStatus::Closed {
        return Err(Rejection::AccountClosed);
    }
    if payer.status == AccountStatus::Frozen {
        return Err(Rejection::AccountFrozen);
    }
    Ok(())
}

/// Whether a debit that counts keeps within the payer's own limits; gives what its debits took with it on this date.
/// `extra`: where it has any.
#[inline]
pub(crate) fn check_limits(
    payer: &BalanceRow,
    extra: Option<&Extra>,
    amount: u64,
    date: u32,
) -> Result<DailyDebits, Rejection> {
    // Both are at most 2^53-1. So is every limit: what is more counts as that much.
    let today = payer.debited_on(date).saturating_add(amount);
    if let Some(extra) = extra {
        if amount > extra.per_transfer {
            return Err(Rejection::PerTransferLimitExceeded);
        }
        if today > extra.daily_debit {
            return Err(Rejection::DailyLimitExceeded);
        }
    }
    Ok(DailyDebits { today: today.min(AMOUNT_MAX), date })
}

/// Whether an account has an amount that nothing else has set aside; the outside world always has.
#[inline]
pub(crate) fn check_funds(
    payer: &BalanceRow,
    extra: Option<&Extra>,
    amount: i64,
) -> Result<(), Rejection> {
    let held = extra.map_or(0, |extra| extra.held);
    let has = may_go_below_zero(payer.kind)
        || payer.posted.checked_sub(held).is_some_and(|available| available >= amount);
    if has { Ok(()) } else { Err(Rejection::InsufficientFunds) }
}

/// Whether both balances may be what they'd be after a movement; gives them.
#[inline]
pub(crate) fn balances_after(
    accounts: &Accounts,
    payer: &BalanceRow,
    payee: &BalanceRow,
    amount: i64,
) -> Result<(i64, i64), Rejection> {
    let debit_after = payer.posted.checked_sub(amount).ok_or(Rejection::Overflow)?;
    let credit_after = payee.posted.checked_add(amount).ok_or(Rejection::Overflow)?;
    if u64::try_from(credit_after).is_ok_and(|after| after > accounts.max_balance(payee)) {
        return Err(Rejection::MaxBalanceExceeded);
    }
    if debit_after.unsigned_abs() > AMOUNT_MAX || credit_after.unsigned_abs() > AMOUNT_MAX {
        return Err(Rejection::Overflow);
    }
    Ok((debit_after, credit_after))
}
