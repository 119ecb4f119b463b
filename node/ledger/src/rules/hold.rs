//! Holds: an amount set aside for a merchant, then taken once, given back, or released because its time is up.
//!
//! What is held stays posted and isn't available. A hold counts for the day when it's taken up, and that isn't given back.

use evenkeel_wire::{
    account::AccountKind,
    hold::{Capture, Hold},
    id::{AccountId, CommandId},
    outcome::Rejection,
    transfer::TransferKind,
};

use super::checks;
use crate::{
    Ledger, LedgerFault,
    entry::{apply::EntryContext, execute::Verdict, undo::UndoStep},
    known_ids::JournalLookup,
    tables::{
        accounts::{Accounts, account_state::AccountState},
        facts,
        holds::OpenHold,
    },
};

/// A hold that was taken up, whatever became of it.
#[derive(Clone, Copy, Debug)]
struct FoundHold {
    hold: OpenHold,
    /// Neither closed nor due.
    is_open: bool,
}

/// Two accounts, and how they stand after a command that passed every check.
struct HoldPlan {
    debit: (u32, AccountState),
    credit: (u32, AccountState),
}

impl Ledger {
    pub(crate) fn execute_hold(
        &mut self,
        hold: &Hold,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        let date = self.date_number();
        let plan = match judge_hold(&self.accounts, hold, entry.head.position, date) {
            Ok(plan) => plan,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let open = OpenHold {
            debit: hold.debit,
            credit: hold.credit,
            amount: hold.amount.0,
            expires_at: entry.head.time.saturating_add(hold.expires_in_ms.saturating_mul(1_000)),
        };
        self.apply_plan(&plan)?;
        self.set_hold(hold.id, Some(open));
        Ok(Verdict::Committed { amount: hold.amount.0, debit_after: 0, credit_after: 0 })
    }

    pub(crate) fn execute_capture(
        &mut self,
        capture: &Capture,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        if capture.amount.is_some_and(|amount| amount.to_balance_change().is_none()) {
            return Ok(Verdict::Rejected(Rejection::AmountInvalid));
        }
        let Some(found) = self.find_hold(capture.hold, entry, firsts)? else {
            return Ok(Verdict::Rejected(Rejection::HoldNotFound));
        };
        let amount = capture.amount.map_or(found.hold.amount, |amount| amount.0);
        let parties = self.hold_parties(&found.hold)?;
        let plan = match judge_capture(&self.accounts, &found, parties, amount, &entry.head) {
            Ok(plan) => plan,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        self.apply_plan(&plan)?;
        self.close_hold(capture.hold, entry);
        self.count_movement(TransferKind::Payment, parties, amount)?;
        let (debit_after, credit_after) = (plan.debit.1.posted, plan.credit.1.posted);
        Ok(Verdict::Committed { amount, debit_after, credit_after })
    }

    /// Giving back looks at no account's status: nothing goes out of it.
    pub(crate) fn execute_void(
        &mut self,
        hold: CommandId,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        match self.find_hold(hold, entry, firsts)? {
            None => Ok(Verdict::Rejected(Rejection::HoldNotFound)),
            Some(found) if !found.is_open => Ok(Verdict::Rejected(Rejection::HoldNotOpen)),
            Some(found) => self.release_hold(hold, &found.hold, entry),
        }
    }

    /// Releases a hold whose time is up. One that isn't open any more, or not yet due, is passed over.
    pub(crate) fn execute_expiry(
        &mut self,
        id: CommandId,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        match self.holds.get(id).copied() {
            Some(hold) if hold.expires_at <= self.time => self.release_hold(id, &hold, entry),
            _ => Ok(Verdict::Ignored),
        }
    }

    fn release_hold(
        &mut self,
        id: CommandId,
        hold: &OpenHold,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        let parties = self.hold_parties(hold)?;
        let plan = plan_closing(&self.accounts, hold, parties, entry.head.position);
        self.apply_plan(&plan)?;
        self.close_hold(id, entry);
        Ok(Verdict::Committed { amount: hold.amount, debit_after: 0, credit_after: 0 })
    }

    /// A hold by its id: an open one, or one that was taken up once. `None`: there is none that concerns whoever asks.
    fn find_hold(
        &self,
        id: CommandId,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Option<FoundHold>, LedgerFault> {
        if let Some(hold) = self.holds.get(id) {
            let found = FoundHold { hold: *hold, is_open: hold.expires_at > self.time };
            return Ok(entry.may_touch(hold.credit).then_some(found));
        }
        let Some(hold) = facts::find_hold(id, &mut self.committed_lookup(entry, firsts))? else {
            return Ok(None);
        };
        let closed = OpenHold {
            debit: hold.debit,
            credit: hold.credit,
            amount: hold.amount.0,
            expires_at: 0,
        };
        Ok(entry.may_touch(closed.credit).then_some(FoundHold { hold: closed, is_open: false }))
    }

    fn hold_parties(&self, hold: &OpenHold) -> Result<(u32, u32), LedgerFault> {
        let find = |account: AccountId| {
            let lost = || LedgerFault(format!("account {account} of a hold is gone"));
            self.accounts.find(account).ok_or_else(lost)
        };
        Ok((find(hold.debit)?, find(hold.credit)?))
    }

    fn apply_plan(&mut self, plan: &HoldPlan) -> Result<(), LedgerFault> {
        self.accounts.set_state(plan.debit.0, &plan.debit.1)?;
        self.accounts.set_state(plan.credit.0, &plan.credit.1)
    }

    fn close_hold(&mut self, id: CommandId, entry: &EntryContext<'_>) {
        self.set_hold(id, None);
        self.recent.record_resolution(id, entry.head.position, entry.command_number());
        self.undo.push(|| UndoStep::Resolved(id));
    }

    fn set_hold(&mut self, id: CommandId, hold: Option<OpenHold>) {
        let before = self.holds.set(id, hold);
        self.undo.push(|| UndoStep::Hold(id, before));
    }
}

fn judge_hold(
    accounts: &Accounts,
    hold: &Hold,
    position: u64,
    date: u32,
) -> Result<HoldPlan, Rejection> {
    let amount = hold.amount.to_balance_change().ok_or(Rejection::AmountInvalid)?;
    if hold.debit == hold.credit {
        return Err(Rejection::SameAccount);
    }
    let debit = accounts.find(hold.debit).ok_or(Rejection::AccountNotFound)?;
    let credit = accounts.find(hold.credit).ok_or(Rejection::AccountNotFound)?;
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    if (payer.kind, payee.kind) != (AccountKind::Wallet, AccountKind::Merchant) {
        return Err(Rejection::KindNotAllowed);
    }
    if accounts.asset(payer) != hold.asset || accounts.asset(payee) != hold.asset {
        return Err(Rejection::AssetMismatch);
    }
    checks::check_statuses(payer, payee)?;
    let extra = accounts.extra(payer);
    let debited = checks::check_limits(payer, Some(&extra), hold.amount.0, date)?;
    checks::check_funds(payer, Some(&extra), amount)?;
    let (mut payer, mut payee) = (accounts.account_state(debit), accounts.account_state(credit));
    payer.extra.held = payer.extra.held.checked_add(amount).ok_or(Rejection::Overflow)?;
    payee.extra.incoming_holds =
        payee.extra.incoming_holds.checked_add(1).ok_or(Rejection::Overflow)?;

    payer.debited_today = debited.today;
    payer.debited_date = debited.date;
    payer.changed_position = position;
    payee.changed_position = position;
    Ok(HoldPlan { debit: (debit, payer), credit: (credit, payee) })
}

fn judge_capture(
    accounts: &Accounts,
    found: &FoundHold,
    (debit, credit): (u32, u32),
    amount: u64,
    head: &crate::EntryHead,
) -> Result<HoldPlan, Rejection> {
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    checks::check_statuses(payer, payee)?;
    if !found.is_open {
        return Err(Rejection::HoldNotOpen);
    }
    if amount > found.hold.amount {
        return Err(Rejection::CaptureExceedsHold);
    }
    let change = i64::try_from(amount).map_err(|_| Rejection::Overflow)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;

    let mut plan = plan_closing(accounts, &found.hold, (debit, credit), head.position);
    plan.debit.1.posted = debit_after;
    plan.credit.1.posted = credit_after;
    Ok(plan)
}

/// Both accounts without the hold. Sums that can't be are found when they're set.
fn plan_closing(
    accounts: &Accounts,
    hold: &OpenHold,
    (debit, credit): (u32, u32),
    position: u64,
) -> HoldPlan {
    let (mut payer, mut payee) = (accounts.account_state(debit), accounts.account_state(credit));
    payer.extra.held = payer.extra.held.saturating_sub_unsigned(hold.amount);
    payee.extra.incoming_holds = payee.extra.incoming_holds.saturating_sub(1);
    payer.changed_position = position;
    payee.changed_position = position;
    HoldPlan { debit: (debit, payer), credit: (credit, payee) }
}
