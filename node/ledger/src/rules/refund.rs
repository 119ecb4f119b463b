//! Refunds: a payment's money, or a part of it, on its way back from the merchant to the wallet.
//!
//! All refunds of a payment together never exceed it. Limits of debits don't count, a merchant's freeze does.

use evenkeel_wire::{id::CommandId, outcome::Rejection, refund::Refund, transfer::TransferKind};

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
    /// What the refunds of a payment have paid back so far.
    #[must_use]
    pub fn refunded(&self, payment: CommandId) -> u64 {
        self.refunds.total(payment)
    }

    pub(crate) fn refund(
        &mut self,
        refund: &Refund,
        entry: &Entry<'_>,
        firsts: &mut dyn FirstAnswers,
    ) -> Result<Verdict, Unwell> {
        if refund.amount.is_some_and(|amount| amount.valid().is_none()) {
            return Ok(Verdict::Rejected(Rejection::AmountInvalid));
        }
        let payment = match facts::payment(refund.payment, &mut self.committed(entry, firsts))? {
            Ok(payment) if entry.may_touch(payment.credit) => payment,
            Ok(_) => return Ok(Verdict::Rejected(Rejection::PaymentNotFound)),
            Err(rejection) => return Ok(Verdict::Rejected(rejection)),
        };
        let parties = self.parties_back(&payment)?;
        let refunded = self.refunds.total(refund.payment);
        let left = payment.amount.checked_sub(refunded).ok_or_else(|| {
            Unwell(format!(
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
        self.undo.push(|| Step::Refunded(refund.payment, before));
        self.move_back(TransferKind::Refund, &back, entry)
    }
}

/// Judges a refund of a payment of which so much is left. `parties` are the rows of its merchant and its wallet.
fn judge(
    accounts: &Accounts,
    parties: (u32, u32),
    amount: u64,
    left: u64,
) -> Result<Back, Rejection> {
    checks::may_take_part(accounts.row(parties.0), accounts.row(parties.1))?;
    if amount == 0 || amount > left {
        return Err(Rejection::RefundExceedsPayment);
    }
    returns::judge(accounts, parties, amount)
}
