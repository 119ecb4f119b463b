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
    Ledger, Unwell,
    entry::{apply::Entry, execute::Verdict},
    known_ids::{self, FirstAnswers},
    tables::{accounts::Accounts, facts::Moved},
};

/// A movement back that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Back {
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
) -> Result<Back, Rejection> {
    let (payer, payee) = (accounts.row(debit), accounts.row(credit));
    let change = i64::try_from(amount).map_err(|_| Rejection::Overflow)?;
    checks::has(payer, Some(&accounts.extra(payer)), change)?;
    let (debit_after, credit_after) = checks::balances_after(accounts, payer, payee, change)?;
    Ok(Back { debit, credit, amount, debit_after, credit_after })
}

impl Ledger {
    /// The rows of the account that pays back and of the one that is paid back.
    pub(crate) fn parties_back(&self, movement: &Moved) -> Result<(u32, u32), Unwell> {
        let find = |account: AccountId| {
            let lost = || Unwell(format!("account {account} of a movement is gone"));
            self.accounts.find(account).ok_or_else(lost)
        };
        Ok((find(movement.credit)?, find(movement.debit)?))
    }

    /// Moves the money.
    pub(crate) fn move_back(
        &mut self,
        kind: TransferKind,
        back: &Back,
        entry: &Entry<'_>,
    ) -> Result<Verdict, Unwell> {
        let Back { debit, credit, amount, debit_after, credit_after } = *back;
        let position = entry.head.position;
        self.accounts.set_posted(debit, debit_after, None, position)?;
        self.accounts.set_posted(credit, credit_after, None, position)?;
        self.count_movement(kind, (debit, credit), amount)?;
        Ok(Verdict::Committed { amount, debit_after, credit_after })
    }

    /// Gives committed commands by their ids.
    pub(crate) fn committed<'a>(
        &'a self,
        entry: &'a Entry<'_>,
        firsts: &'a mut dyn FirstAnswers,
    ) -> impl FnMut(CommandId) -> Result<Option<(Command, Outcome)>, Unwell> + 'a {
        move |id| {
            let hash = self.seed.hash(id.number());
            known_ids::committed(&self.recent, entry.current(), (id, hash), firsts)
        }
    }
}
