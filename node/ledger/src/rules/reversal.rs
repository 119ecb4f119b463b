//! Reversals: how a money error is put right without editing history. The whole amount goes the other way, once, as a
//! movement of its own.

use evenkeel_wire::{
    id::CommandId, outcome::Rejection, reversal::Reversal, transfer::TransferKind,
};

use super::{
    checks,
    returns::{self, Back},
};
use crate::{
    Ledger, Unwell,
    entry::{apply::Entry, execute::Verdict, undo::Step},
    known_ids::FirstAnswers,
    tables::{accounts::Accounts, facts},
};

impl Ledger {
    /// The reversal that undid a movement.
    #[must_use]
    pub fn reversed_by(&self, movement: CommandId) -> Option<CommandId> {
        self.reversals.reversed_by(movement)
    }

    pub(crate) fn reverse(
        &mut self,
        reversal: &Reversal,
        entry: &Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Verdict, Unwell> {
        let undone = reversal.transfer;
        let movement = match facts::reversible(undone, &mut self.committed(entry, firsts))? {
            Ok(movement) => movement,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let parties = self.parties_back(&movement)?;
        let reversed_by = self.reversals.reversed_by(undone);
        let back = match judge(&self.accounts, parties, movement.amount, reversed_by) {
            Ok(back) => back,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };

        // Every check has passed; what fails below is a broken belief.
        self.reversals.add(undone, reversal.id)?;
        self.undo.push(|| Step::Reversed(undone));
        self.move_back(TransferKind::Reversal, &back, entry)
    }
}

/// Judges a reversal. `parties` are the rows of the account that was paid and of the one that paid.
fn judge(
    accounts: &Accounts,
    parties: (u32, u32),
    amount: u64,
    reversed_by: Option<CommandId>,
) -> Result<Back, Rejection> {
    checks::may_take_part(accounts.row(parties.0), accounts.row(parties.1))?;
    if reversed_by.is_some() {
        return Err(Rejection::AlreadyReversed);
    }
    returns::judge(accounts, parties, amount)
}
