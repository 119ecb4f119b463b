//! What takes a hold's money or gives money back: captures, releases, refunds, reversals.

use evenkeel_wire::{amount::Amount, id::CommandId, outcome::Rejection, transfer::TransferKind};

use super::{Flow, HoldRecord, Judgement, OutcomeModel, to_i64, valid_amount};

impl OutcomeModel {
    pub(crate) fn release(&mut self, id: CommandId) {
        let held = self.holds.get_mut(&id).expect("it was judged before");
        held.open = false;
        let HoldRecord { debit, credit, amount, .. } = *held;
        self.change_held(debit, credit, -to_i64(amount), false);
    }

    pub(crate) fn capture(
        &mut self,
        id: CommandId,
        hold: CommandId,
        amount: Option<Amount>,
    ) -> Judgement<Option<Flow>> {
        let asked = amount.map(valid_amount).transpose()?;
        let HoldRecord { debit, credit, amount, open } =
            *self.holds.get(&hold).ok_or(Rejection::HoldNotFound)?;
        let taken = asked.unwrap_or(amount);
        let flow = Flow { kind: TransferKind::Payment, debit, credit, amount: taken };
        self.check_status(flow)?;
        open.then_some(()).ok_or(Rejection::HoldNotOpen)?;
        if taken > amount {
            return Err(Rejection::CaptureExceedsHold);
        }
        self.may_credit(flow)?;
        self.release(hold);
        Ok(Some(self.move_money(id, flow)))
    }

    pub(crate) fn refund(
        &mut self,
        id: CommandId,
        payment: CommandId,
        amount: Option<Amount>,
    ) -> Judgement<Option<Flow>> {
        let asked = amount.map(valid_amount).transpose()?;
        let found = self.movements.get(&payment);
        let paid = found.filter(|movement| movement.kind == TransferKind::Payment);
        let paid = paid.ok_or(Rejection::PaymentNotFound)?;
        let left = paid.amount - paid.refunded;
        let back = asked.unwrap_or(left);
        let (debit, credit) = (paid.credit, paid.debit);
        let flow = Flow { kind: TransferKind::Refund, debit, credit, amount: back };
        self.check_status(flow)?;
        if back > left || left == 0 {
            return Err(Rejection::RefundExceedsPayment);
        }
        self.check_funds(flow)?;
        self.may_credit(flow)?;
        self.movements.get_mut(&payment).expect("found above").refunded += back;
        Ok(Some(self.move_money(id, flow)))
    }

    pub(crate) fn reverse(
        &mut self,
        id: CommandId,
        transfer: CommandId,
    ) -> Judgement<Option<Flow>> {
        let wrong = self.movements.get(&transfer).ok_or(Rejection::TransferNotFound)?;
        let reversible = matches!(
            wrong.kind,
            TransferKind::TopUp | TransferKind::CashOut | TransferKind::Fee | TransferKind::Grant
        );
        reversible.then_some(()).ok_or(Rejection::ReversalNotAllowed)?;
        let (debit, credit, amount) = (wrong.credit, wrong.debit, wrong.amount);
        let reversed = wrong.reversed;
        let flow = Flow { kind: TransferKind::Reversal, debit, credit, amount };
        self.check_status(flow)?;
        if reversed {
            return Err(Rejection::AlreadyReversed);
        }
        self.check_funds(flow)?;
        self.may_credit(flow)?;
        self.movements.get_mut(&transfer).expect("found above").reversed = true;
        Ok(Some(self.move_money(id, flow)))
    }
}
