//! Checks that several commands share.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    amount::Asset,
    id::CommandId,
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::TransferKind,
};

use crate::tables::{
    accounts::{Accounts, BalanceRow, DailyDebits, extra::Extra, may_go_below_zero},
    genesis::IdWindow,
};

/// Whether the time of a new id is within the window.
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

/// Whether a kind of transfer moves money between these kinds of accounts.
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
        // Only the commands of these names make them.
        TransferKind::Refund | TransferKind::Reversal => false,
    }
}

/// Whether the limits of one debit and of a day's debits apply to this kind of transfer. They
/// apply to holds too.
#[inline]
pub(crate) fn is_limited(kind: TransferKind) -> bool {
    matches!(
        kind,
        TransferKind::Transfer | TransferKind::Payment | TransferKind::CashOut | TransferKind::Fee
    )
}

/// Whether both accounts are of this asset.
#[inline]
pub(crate) fn check_assets(
    accounts: &Accounts,
    payer: &BalanceRow,
    payee: &BalanceRow,
    asset: Asset,
) -> Result<(), Rejection> {
    if accounts.asset(payer) != asset || accounts.asset(payee) != asset {
        return Err(Rejection::AssetMismatch);
    }
    Ok(())
}

/// Whether money may move: neither account is closed, and the payer isn't frozen.
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

/// Whether a debit keeps within the payer's own limits; gives the date's debits with this one.
/// `extra`: the payer's limits and holds, if it has any.
#[inline]
pub(crate) fn check_limits(
    payer: &BalanceRow,
    extra: Option<&Extra>,
    amount: u64,
    date: u32,
) -> Result<DailyDebits, Rejection> {
    // Both are at most 2^53-1, and so is every limit: larger sums count as that.
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

/// Whether the payer has the amount available; banks and issuers always have.
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

/// Both balances after a movement, if they are within their limits.
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
