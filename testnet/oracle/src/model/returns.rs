//! Money that goes back: refunds of payments, reversals of movements that were wrong.

use evenkeel_wire::{
    outcome::Rejection, refund::Refund, reversal::Reversal, transfer::TransferKind,
};

use super::{Effect, Judgement, Model, Moment, movement::Flow, valid_amount};

impl Model {
    pub(crate) fn refund(&mut self, at: Moment, refund: &Refund) -> Judgement<Effect> {
        let asked = refund.amount.map(|amount| valid_amount(amount.0)).transpose()?;
        let found = self.movements.get(&refund.payment);
        let paid = found.filter(|movement| movement.kind == TransferKind::Payment);
        let paid = *paid.ok_or(Rejection::PaymentNotFound)?;
        let left = paid.amount - paid.refunded;
        let amount = asked.unwrap_or(left);
        let (debit, credit) = (paid.credit, paid.debit);
        let flow = Flow { kind: TransferKind::Refund, debit, credit, amount };
        self.check_status(flow)?;
        if left == 0 || amount > left {
            return Err(Rejection::RefundExceedsPayment);
        }
        self.check_funds(flow)?;
        self.check_room(flow)?;
        self.movements.get_mut(&refund.payment).expect("found above").refunded += amount;
        self.counts.returned += 1;
        Ok(self.move_money(at.position, refund.id, flow))
    }

    pub(crate) fn reverse(&mut self, at: Moment, reversal: &Reversal) -> Judgement<Effect> {
        use TransferKind::{CashOut, Fee, Grant, TopUp};
        let found = self.movements.get(&reversal.transfer);
        let wrong = *found.ok_or(Rejection::TransferNotFound)?;
        if ![TopUp, CashOut, Fee, Grant].contains(&wrong.kind) {
            return Err(Rejection::ReversalNotAllowed);
        }
        let (debit, credit, amount) = (wrong.credit, wrong.debit, wrong.amount);
        let flow = Flow { kind: TransferKind::Reversal, debit, credit, amount };
        self.check_status(flow)?;
        if wrong.reversed_by.is_some() {
            return Err(Rejection::AlreadyReversed);
        }
        self.check_funds(flow)?;
        self.check_room(flow)?;
        let wrong = self.movements.get_mut(&reversal.transfer).expect("found above");
        wrong.reversed_by = Some(reversal.id);
        self.counts.returned += 1;
        Ok(self.move_money(at.position, reversal.id, flow))
    }
}
