//! Money on its way back: what refunds and reversals share. Both move from the account that a movement paid to the one
//! that it was paid from.

use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId},
    outcome::{Outcome, Rejection},
    transfer::TransferKind,
};

use super::checks;
use crate::{
    Ledger, LedgerFault,
    entry::{apply::EntryContext, execute::Verdict},
    known_ids::{self, JournalLookup},
    tables::{accounts::Accounts, facts::MovementFacts},
};

/// A movement back that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReturnPlan {
    debit: u32,
    credit: u32,
    amount: u64,
    debit_after: i64,
    credit_after: i64,
}

/// Whether the account that pays back has so much, and the other may hold it. What a debit may take isn't asked.
pub(crate) fn judge(
    accounts: &Accounts,
    (debit, credit): (u32, u32),
    amount: u64,
) -> Result<ReturnPlan, Rejection> {
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    let change = i64::try_from(amount).map_err(|_| Rejection::Overflow)?;
    checks::check_funds(payer, Some(&accounts.extra(payer)), change)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;
    Ok(ReturnPlan { debit, credit, amount, debit_after, credit_after })
}

impl Ledger {
    /// The rows of the account that pays back and of the one that is paid back.
    pub(crate) fn return_parties(
        &self,
        movement: &MovementFacts,
    ) -> Result<(u32, u32), LedgerFault> {
        let find = |account: AccountId| {
            let lost = || LedgerFault(format!("account {account} of a movement is gone"));
            self.accounts.find(account).ok_or_else(lost)
        };
        Ok((find(movement.credit)?, find(movement.debit)?))
    }

    /// Moves the money.
    pub(crate) fn return_money(
        &mut self,
        kind: TransferKind,
        back: &ReturnPlan,
        entry: &EntryContext<'_>,
    ) -> Result<Verdict, LedgerFault> {
        let ReturnPlan { debit, credit, amount, debit_after, credit_after } = *back;
        let position = entry.head.position;
        self.accounts.set_posted(debit, debit_after, None, position)?;
        self.accounts.set_posted(credit, credit_after, None, position)?;
        self.count_movement(kind, (debit, credit), amount)?;
        Ok(Verdict::Committed { amount, debit_after, credit_after })
    }

    /// Gives committed commands by their ids.
    pub(crate) fn committed_lookup<'a>(
        &'a self,
        entry: &'a EntryContext<'_>,
        firsts: &'a mut dyn JournalLookup,
    ) -> impl FnMut(CommandId) -> Result<Option<(Command, Outcome)>, LedgerFault> + 'a {
        move |id| {
            let hash = self.seed.hash(id.number());
            known_ids::find_committed(&self.recent, entry.current(), (id, hash), firsts)
        }
    }
}
