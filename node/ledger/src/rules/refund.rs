//! Refunds: a payment's money, or a part of it, on its way back from the merchant to the wallet.
//!
//! All refunds of a payment together never exceed it. Limits of debits don't count, a merchant's freeze does.

use evenkeel_wire::{id::CommandId, outcome::Rejection, refund::Refund, transfer::TransferKind};

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
    /// What the refunds of a payment have paid back so far.
    #[must_use]
    pub fn refunded_total(&self, payment: CommandId) -> u64 {
        self.refunds.total(payment)
    }

    pub(crate) fn execute_refund(
        &mut self,
        refund: &Refund,
        entry: &EntryContext<'_>,
        firsts: &mut dyn JournalLookup,
    ) -> Result<Verdict, LedgerFault> {
        if refund.amount.is_some_and(|amount| amount.to_balance_change().is_none()) {
            return Ok(Verdict::Rejected(Rejection::AmountInvalid));
        }
        let payment =
            match facts::find_payment(refund.payment, &mut self.committed_lookup(entry, firsts))? {
                Ok(payment) if entry.may_touch(payment.credit) => payment,
                Ok(_) => return Ok(Verdict::Rejected(Rejection::PaymentNotFound)),
                Err(rejection) => return Ok(Verdict::Rejected(rejection)),
            };
        let parties = self.return_parties(&payment)?;
        let refunded = self.refunds.total(refund.payment);
        let left = payment.amount.checked_sub(refunded).ok_or_else(|| {
            LedgerFault(format!(
                "payment {} of {}: {refunded} were refunded",
                refund.payment, payment.amount
            ))
        })?;
        let amount = refund.amount.map_or(left, |amount| amount.0);
        let back = match judge(&self.accounts, parties, amount, left) {
            Ok(back) => back,
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };

        // Every check has passed; what fails below is a broken belief.
        let before = self.refunds.add(refund.payment, amount, payment.amount)?;
        self.undo.push(|| UndoStep::Refunded(refund.payment, before));
        self.return_money(TransferKind::Refund, &back, entry)
    }
}

/// Judges a refund of a payment of which so much is left. `parties` are the rows of its merchant and its wallet.
fn judge(
    accounts: &Accounts,
    parties: (u32, u32),
    amount: u64,
    left: u64,
) -> Result<ReturnPlan, Rejection> {
    checks::check_statuses(accounts.row(parties.0), accounts.row(parties.1))?;
    if amount == 0 || amount > left {
        return Err(Rejection::RefundExceedsPayment);
    }
    returns::judge(accounts, parties, amount)
}
