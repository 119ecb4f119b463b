//! Placing a hold.

use evenkeel_wire::{account::AccountKind, hold::Hold, id::CommandId, outcome::Rejection};

use super::HoldParties;
use crate::{
    fault::LedgerFault,
    rules::{
        checks,
        context::CommandContext,
        verdict::{Committed, Stop},
    },
    tables::{Tables, holds::OpenHold},
};

/// A hold that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldChange {
    id: CommandId,
    hold: OpenHold,
    parties: HoldParties,
}

/// Judges a hold.
pub(crate) fn judge(
    tables: &Tables,
    hold: &Hold,
    context: &CommandContext<'_>,
) -> Result<HoldChange, Stop> {
    let accounts = &tables.accounts;
    let change = hold.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
    if hold.debit == hold.credit {
        return Err(Rejection::SameAccount.into());
    }
    let debit = accounts.find(hold.debit).ok_or(Rejection::AccountNotFound)?;
    let credit = accounts.find(hold.credit).ok_or(Rejection::AccountNotFound)?;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    if (payer.kind, payee.kind) != (AccountKind::Wallet, AccountKind::Merchant) {
        return Err(Rejection::KindNotAllowed.into());
    }
    checks::check_assets(accounts, payer, payee, hold.asset)?;
    checks::check_statuses(payer, payee)?;
    let extra = accounts.extra(payer);
    let amount = hold.amount.0;
    let debited = checks::check_limits(payer, Some(&extra), amount, tables.date_number())?;
    checks::check_funds(payer, Some(&extra), change)?;
    let (mut payer, mut payee) = (accounts.account_state(debit), accounts.account_state(credit));
    payer.extra.held = payer.extra.held.checked_add(change).ok_or(Rejection::Overflow)?;
    let incoming = payee.extra.incoming_holds.checked_add(1).ok_or(Rejection::Overflow)?;

    payee.extra.incoming_holds = incoming;
    payer.debited_today = debited.today;
    payer.debited_date = debited.date;
    payer.changed_position = context.position();
    payee.changed_position = context.position();
    let expires_at = context.head().time.saturating_add(hold.expires_in_ms.saturating_mul(1_000));
    Ok(HoldChange {
        id: hold.id,
        hold: OpenHold { debit: hold.debit, credit: hold.credit, amount, expires_at },
        parties: HoldParties { debit: (debit, payer), credit: (credit, payee) },
    })
}

/// Sets the amount aside.
pub(crate) fn apply(tables: &mut Tables, change: &HoldChange) -> Result<Committed, LedgerFault> {
    change.parties.apply(&mut tables.accounts)?;
    tables.open_hold(change.id, change.hold);
    Ok(Committed::amount(change.hold.amount))
}
