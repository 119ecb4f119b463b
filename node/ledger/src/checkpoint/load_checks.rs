//! What a checkpoint's rows must satisfy besides their digest.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    day::BusinessDate,
    id::AccountId,
    limits::AMOUNT_MAX,
};

use super::rows::CheckpointAccount;
use crate::tables::{
    Tables,
    accounts::{
        extra::{Extra, NO_LIMIT},
        may_go_below_zero,
    },
};

/// The limits and holds of an account.
pub(crate) fn check_extra(account: &CheckpointAccount) -> Result<Extra, String> {
    let limit = |limit: Option<u64>| match limit {
        Some(limit) if limit > AMOUNT_MAX => Err(format!("{limit} is no limit")),
        limit => Ok(limit.unwrap_or(NO_LIMIT)),
    };
    Ok(Extra {
        max_balance: limit(account.max_balance)?,
        per_transfer: limit(account.per_transfer)?,
        daily_debit: limit(account.daily_debit)?,
        held: account.held,
        incoming_holds: account.incoming_holds,
    })
}

/// Whether an account of this kind and status can have these balances.
pub(crate) fn check_balances(
    kind: AccountKind,
    status: AccountStatus,
    account: &CheckpointAccount,
) -> Result<(), String> {
    let CheckpointAccount { posted, held, debited_today, debited_date, .. } = *account;
    let owes = posted < held && !may_go_below_zero(kind);
    if owes || held < 0 || posted.unsigned_abs() > AMOUNT_MAX {
        return Err(format!("a {kind} can't have {posted} posted and {held} held"));
    }
    let is_empty = posted == 0 && held == 0 && account.incoming_holds == 0;
    if status == AccountStatus::Closed && !is_empty {
        return Err("it's closed and not empty".into());
    }
    let was_debited = BusinessDate::from_number(debited_date).is_ok() && debited_today > 0;
    let never_was = debited_date == 0 && debited_today == 0;
    if !(was_debited || never_was) || debited_today > AMOUNT_MAX {
        return Err(format!("debits of {debited_today} on {debited_date} are impossible"));
    }
    Ok(())
}

/// Whether the holds of each account are the open ones, between accounts that can have them.
pub(crate) fn check_holds(tables: &Tables) -> Result<(), String> {
    let mut expected: BTreeMap<AccountId, (i64, u32)> = BTreeMap::new();
    let too_much = |account| format!("account {account}: the sum of its holds is impossible");
    for (id, hold) in tables.holds.iter() {
        for (account, kind) in
            [(hold.debit, AccountKind::Wallet), (hold.credit, AccountKind::Merchant)]
        {
            let slot = tables.accounts.find(account);
            if slot.is_none_or(|slot| tables.accounts.row(slot).kind != kind) {
                return Err(format!("hold {id:032x}: {account} is no {kind}"));
            }
        }
        let held = &mut expected.entry(hold.debit).or_default().0;
        let more = i64::try_from(hold.amount).ok().and_then(|amount| held.checked_add(amount));
        *held = more.ok_or_else(|| too_much(hold.debit))?;
        let incoming = &mut expected.entry(hold.credit).or_default().1;
        *incoming = incoming.checked_add(1).ok_or_else(|| too_much(hold.credit))?;
    }
    for slot in 0..tables.accounts.count() {
        let row = &tables.accounts.rows[slot];
        let extra = tables.accounts.extra(row);
        let (held, incoming) = expected.get(&row.id).copied().unwrap_or_default();
        if (extra.held, extra.incoming_holds) != (held, incoming) {
            return Err(format!(
                "account {}: {} held and {} incoming holds, its open holds say {held} and \
                 {incoming}",
                row.id, extra.held, extra.incoming_holds
            ));
        }
    }
    Ok(())
}
