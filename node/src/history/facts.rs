//! Facts of a movement: payer, payee and amount, from its command, its outcome and its target's
//! facts. They never depend on the current state.
//!
//! They're fixed when the command is committed, so they're the same at any time and on every node.
//! A target is always older than the command that names it, so lookups end.

use evenkeel_wire::{
    amount::Amount,
    command::Command,
    hold::Hold,
    id::{AccountId, CommandId},
    outcome::Outcome,
    transfer::{Text, Transfer, TransferKind},
};

use super::{HistoryError, history_reader::HistoryReader, rows::is_new_and_committed};
use evenkeel_ledger::DecidedOutcome;

impl HistoryReader<'_> {
    /// The movement of a committed command. `None`: no money moved. A capture is a payment with its
    /// own id and the hold's memo; a refund and a reversal return the money to its payer, and a
    /// reversal's reason is its memo.
    ///
    /// # Errors
    /// When its target can't be read.
    pub fn resolve_movement(
        &self,
        command: Command,
        outcome: &Outcome,
    ) -> Result<Option<Transfer>, HistoryError> {
        let amount = Amount(outcome.amount);
        let (id, target, kind, memo) = match command {
            Command::Transfer(transfer) => return Ok(Some(transfer)),
            Command::Capture(capture) => {
                let hold = self.target_hold(capture.id, capture.hold)?;
                let kind = TransferKind::Payment;
                let Hold { debit, credit, asset, memo, .. } = hold;
                let reference = Text::default();
                let id = capture.id;
                return Ok(Some(Transfer {
                    id,
                    debit,
                    credit,
                    amount,
                    asset,
                    kind,
                    reference,
                    memo,
                }));
            }
            Command::Refund(refund) => {
                (refund.id, refund.payment, TransferKind::Refund, refund.memo)
            }
            Command::Reversal(reversal) => {
                (reversal.id, reversal.transfer, TransferKind::Reversal, reversal.reason)
            }
            _ => return Ok(None),
        };
        let target = self.target_movement(id, target)?;
        Ok(Some(Transfer {
            id,
            debit: target.credit,
            credit: target.debit,
            amount,
            asset: target.asset,
            kind,
            reference: Text::default(),
            memo,
        }))
    }

    /// The payer and payee, if a command moved money.
    ///
    /// # Errors
    /// When its target can't be read.
    pub fn parties_if_moved(
        &self,
        command: &Command,
        decided: &DecidedOutcome,
    ) -> Result<Option<(AccountId, AccountId)>, HistoryError> {
        if !is_new_and_committed(decided) {
            return Ok(None);
        }
        if let Command::Transfer(transfer) = command {
            return Ok(Some((transfer.debit, transfer.credit)));
        }
        let moved = self.resolve_movement(command.clone(), &decided.outcome)?;
        Ok(moved.map(|moved| (moved.debit, moved.credit)))
    }

    /// The movement that `by` targets.
    fn target_movement(&self, by: CommandId, id: CommandId) -> Result<Transfer, HistoryError> {
        let moved = match self.find_committed(id)? {
            Some(told) => self.resolve_movement(told.command, &told.outcome)?,
            None => None,
        };
        moved
            .ok_or_else(|| HistoryError::new(format!("command {by}: the movement {id} is missing")))
    }

    /// The hold that `by` targets.
    fn target_hold(&self, by: CommandId, id: CommandId) -> Result<Hold, HistoryError> {
        match self.find_committed(id)?.map(|told| told.command) {
            Some(Command::Hold(hold)) => Ok(hold),
            _ => Err(HistoryError::new(format!("command {by}: the hold {id} is missing"))),
        }
    }
}
