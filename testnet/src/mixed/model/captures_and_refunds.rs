//! What takes a hold's money or gives money back: captures, releases, refunds, reversals.

use evenkeel_wire::{amount::Amount, id::CommandId, outcome::Rejection, transfer::TransferKind};

use super::{Flow, Held, Judged, Model, to_i64, valid};

impl Model {
    pub(crate) fn release(&mut self, id: CommandId) {
        let held = self.holds.get_mut(&id).expect("it was judged before");
        held.open = false;
        let Held { debit, credit, amount, .. } = *held;
        self.hold(debit, credit, -to_i64(amount), false);
    }

    pub(crate) fn capture(
        &mut self,
        id: CommandId,
        hold: CommandId,
        amount: Option<Amount>,
    ) -> Judged<Option<Flow>> {
        let asked = amount.map(valid).transpose()?;
        let Held { debit, credit, amount, open } =
            *self.holds.get(&hold).ok_or(Rejection::HoldNotFound)?;
        let taken = asked.unwrap_or(amount);
        let flow = Flow { kind: TransferKind::Payment, debit, credit, amount: taken };
        self.take_part(flow)?;
        open.then_some(()).ok_or(Rejection::HoldNotOpen)?;
        if taken > amount {
            return Err(Rejection::CaptureExceedsHold);
        }
        self.may_credit(flow)?;
        self.release(hold);
        Ok(Some(self.movement(id, flow)))
    }

    pub(crate) fn refund(
        &mut self,
        id: CommandId,
        payment: CommandId,
        amount: Option<Amount>,
    ) -> Judged<Option<Flow>> {
        let asked = amount.map(valid).transpose()?;
        let found = self.movements.get(&payment);
        let paid = found.filter(|movement| movement.kind == TransferKind::Payment);
        let paid = paid.ok_or(Rejection::PaymentNotFound)?;
        let left = paid.amount - paid.refunded;
        let back = asked.unwrap_or(left);
        let (debit, credit) = (paid.credit, paid.debit);
        let flow = Flow { kind: TransferKind::Refund, debit, credit, amount: back };
        self.take_part(flow)?;
        if back > left || left == 0 {
            return Err(Rejection::RefundExceedsPayment);
        }
        self.has(flow)?;
        self.may_credit(flow)?;
        self.movements.get_mut(&payment).expect("found above").refunded += back;
        Ok(Some(self.movement(id, flow)))
    }

    pub(crate) fn reverse(&mut self, id: CommandId, transfer: CommandId) -> Judged<Option<Flow>> {
        let wrong = self.movements.get(&transfer).ok_or(Rejection::TransferNotFound)?;
        let reversible = matches!(
            wrong.kind,
            TransferKind::TopUp | TransferKind::CashOut | TransferKind::Fee | TransferKind::Grant
        );
        reversible.then_some(()).ok_or(Rejection::ReversalNotAllowed)?;
        let (debit, credit, amount) = (wrong.credit, wrong.debit, wrong.amount);
        let reversed = wrong.reversed;
        let flow = Flow { kind: TransferKind::Reversal, debit, credit, amount };
        self.take_part(flow)?;
        if reversed {
            return Err(Rejection::AlreadyReversed);
        }
        self.has(flow)?;
        self.may_credit(flow)?;
        self.movements.get_mut(&transfer).expect("found above").reversed = true;
        Ok(Some(self.movement(id, flow)))
    }
}
