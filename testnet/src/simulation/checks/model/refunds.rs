//! What goes back: refunds of payments, reversals of movements that were wrong.

use evenkeel_wire::{
    outcome::Rejection, refund::Refund, reversal::Reversal, transfer::TransferKind,
};

use super::{BalancesAfter, LedgerModel, valid_amount};

impl LedgerModel {
    pub(crate) fn refund(
        &mut self,
        position: u64,
        refund: &Refund,
    ) -> Result<BalancesAfter, Rejection> {
        let asked = refund.amount.map(|asked| valid_amount(asked.0)).transpose()?;
        let paid = self.movements.get(&refund.payment);
        let paid = paid.filter(|movement| movement.kind == TransferKind::Payment);
        let paid = paid.ok_or(Rejection::PaymentNotFound)?;
        let left = paid.amount - paid.refunded;
        let back = asked.unwrap_or(left);
        if left == 0 || back > left {
            return Err(Rejection::RefundExceedsPayment);
        }
        let (debit, credit) = (paid.credit, paid.debit);
        self.judge_balances(debit, credit, back)?;
        self.movements.get_mut(&refund.payment).expect("found above").refunded += back;
        self.gone_back += 1;
        Ok(self.move_money(position, refund.id, (TransferKind::Refund, debit, credit, back)))
    }

    pub(crate) fn reverse(
        &mut self,
        position: u64,
        reversal: &Reversal,
    ) -> Result<BalancesAfter, Rejection> {
        let wrong = self.movements.get(&reversal.transfer).ok_or(Rejection::TransferNotFound)?;
        if !matches!(wrong.kind, TransferKind::TopUp | TransferKind::CashOut) {
            return Err(Rejection::ReversalNotAllowed);
        }
        if wrong.is_reversed {
            return Err(Rejection::AlreadyReversed);
        }
        let (debit, credit, amount) = (wrong.credit, wrong.debit, wrong.amount);
        self.judge_balances(debit, credit, amount)?;
        self.movements.get_mut(&reversal.transfer).expect("found above").is_reversed = true;
        self.gone_back += 1;
        Ok(self.move_money(position, reversal.id, (TransferKind::Reversal, debit, credit, amount)))
    }
}
