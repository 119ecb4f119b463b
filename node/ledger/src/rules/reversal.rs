//! Reversals: how a money error is put right without editing history. The whole amount goes the other way, once, as a
//! movement of its own.

use evenkeel_wire::{
    id::CommandId, outcome::Rejection, reversal::Reversal, transfer::TransferKind,
};

use super::{
    checks,
    returns::{self, ReturnPlan},
};
use crate::{
    Ledger, LedgerFault,
    entry::{apply::EntryContext, execute::Verdict, undo::UndoStep},
    known_ids::JournalLookup,
    tables::{accounts::Accounts, facts},
};

impl Ledger {
    /// The reversal that undid a movement.
    #[must_use]
    pub fn reversed_by(&self, movement: CommandId) -> Option<CommandId> {
        self.reversals.reversed_by(movement)
    }

    pub(crate) fn execute_reversal(
        &mut self,
        reversal: &Reversal,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        let undone = reversal.transfer;
        let movement =
            match facts::find_reversible(undone, &mut self.committed_lookup(entry, firsts))? {
                Ok(movement) => movement,
                Err(rejection) => return Ok(Verdict::Rejected(rejection)),
            };
        let parties = self.return_parties(&movement)?;
        let reversed_by = self.reversals.reversed_by(undone);
        let back = match judge(&self.accounts, parties, movement.amount, reversed_by) {
            Ok(back) => back,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };

        // Every check has passed; what fails below is a broken belief.
        self.reversals.add(undone, reversal.id)?;
        self.undo.push(|| UndoStep::Reversed(undone));
        self.return_money(TransferKind::Reversal, &back, entry)
    }
}

/// Judges a reversal. `parties` are the rows of the account that was paid and of the one that paid.
fn judge(
    accounts: &Accounts,
    parties: (u32, u32),
    amount: u64,
    reversed_by: Option<CommandId>,
) -> Result<ReturnPlan, Rejection> {
    checks::check_statuses(accounts.row(parties.0), accounts.row(parties.1))?;
    if reversed_by.is_some() {
        return Err(Rejection::AlreadyReversed);
    }
    returns::judge(accounts, parties, amount)
}
