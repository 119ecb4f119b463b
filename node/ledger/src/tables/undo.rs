//! Changes of the tables, and their undo log for an atomic group that fails. Accounts keep an undo
//! log of their own. Outside of a group the log costs nothing.

use evenkeel_wire::{
    day::BusinessDate,
    id::{CommandId, KeyId},
    transfer::TransferKind,
};

use super::{
    Tables,
    days::{OpenDay, flows::Flow},
    holds::OpenHold,
    keys::Key,
};
use crate::{fault::LedgerFault, journal::EntryHead};

/// How to undo one change.
#[derive(Clone, Debug)]
enum UndoStep {
    /// A hold was opened or closed: the row before.
    Hold(CommandId, Option<OpenHold>),
    /// The resolution of a hold was recorded.
    Resolution(CommandId),
    /// A payment was refunded: its refunded total before.
    Refund(CommandId, u64),
    /// A movement was reversed.
    Reversal(CommandId),
    /// A movement of an asset was counted.
    Movement(Flow, u8, u64),
    /// A day was closed: the open day before.
    DayClosed(OpenDay),
    /// A key was created.
    KeyCreated(KeyId),
    /// A key was revoked: whether it was revoked before.
    KeyRevoked(KeyId, bool),
}

/// The changes of the group under way.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    steps: Option<Vec<UndoStep>>,
}

impl UndoLog {
    /// Records how to undo a change, if a group is under way.
    #[inline]
    fn push(&mut self, step: impl FnOnce() -> UndoStep) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }
}

impl Tables {
    /// Opens a hold.
    pub(crate) fn open_hold(&mut self, id: CommandId, hold: OpenHold) {
        self.set_hold(id, Some(hold));
    }

    /// Closes a hold and records the command that did.
    pub(crate) fn close_hold(&mut self, id: CommandId, position: u64, command: u16) {
        self.set_hold(id, None);
        self.recent.record_resolution(id, position, command);
        self.undo.push(|| UndoStep::Resolution(id));
    }

    fn set_hold(&mut self, id: CommandId, hold: Option<OpenHold>) {
        let before = self.holds.set(id, hold);
        self.undo.push(|| UndoStep::Hold(id, before));
    }

    /// Adds a refund to the total of a payment of `of_payment`.
    ///
    /// # Errors
    /// When the refunds would exceed the payment.
    pub(crate) fn add_refund(
        &mut self,
        payment: CommandId,
        amount: u64,
        of_payment: u64,
    ) -> Result<(), LedgerFault> {
        let before = self.refunds.add(payment, amount, of_payment)?;
        self.undo.push(|| UndoStep::Refund(payment, before));
        Ok(())
    }

    /// Records the reversal of a movement.
    ///
    /// # Errors
    /// When it was reversed before.
    pub(crate) fn add_reversal(
        &mut self,
        movement: CommandId,
        by: CommandId,
    ) -> Result<(), LedgerFault> {
        self.reversals.add(movement, by)?;
        self.undo.push(|| UndoStep::Reversal(movement));
        Ok(())
    }

    /// Counts a movement between the accounts in these slots for the day under way.
    ///
    /// # Errors
    /// When money can't move between accounts of their kinds that way.
    #[inline]
    pub(crate) fn count_movement(
        &mut self,
        kind: TransferKind,
        (debit, credit): (u32, u32),
        amount: u64,
    ) -> Result<(), LedgerFault> {
        let (payer, payee) = (self.accounts.row(debit), self.accounts.row(credit));
        let Some(flow) = Flow::of_movement(kind, payer.kind, payee.kind) else {
            return Err(LedgerFault::new(format!(
                "a {kind} from {} {} to {} {}",
                payer.kind, payer.id, payee.kind, payee.id
            )));
        };
        let asset_index = payer.asset_index;
        self.days.count_movement(flow, asset_index, amount);
        self.undo.push(|| UndoStep::Movement(flow, asset_index, amount));
        Ok(())
    }

    /// Closes the day under way with the entry `head`; `next` begins.
    pub(crate) fn close_day(&mut self, next: BusinessDate, head: &EntryHead) {
        let closed = self.days.close(next, self.accounts.totals().rows(), head);
        self.undo.push(|| UndoStep::DayClosed(closed));
    }

    /// Adds a key under the next number.
    pub(crate) fn add_key(&mut self, key: Key) -> KeyId {
        let number = self.keys.add(key);
        self.undo.push(|| UndoStep::KeyCreated(number));
        number
    }

    /// Revokes a key; one that is revoked stays so.
    pub(crate) fn revoke_key(&mut self, key: KeyId) {
        let before = self.keys.set_revoked(key, true);
        self.undo.push(|| UndoStep::KeyRevoked(key, before));
    }

    /// From here on, changes can be undone.
    pub(crate) fn begin_group(&mut self) {
        self.accounts.begin_group();
        self.undo.steps = Some(Vec::new());
    }

    /// Changes since [`Self::begin_group`] stay.
    pub(crate) fn commit_group(&mut self) {
        self.accounts.commit_group();
        self.undo.steps = None;
    }

    /// Undoes all changes since [`Self::begin_group`].
    pub(crate) fn roll_back_group(&mut self) {
        self.accounts.roll_back_group();
        for step in self.undo.steps.take().unwrap_or_default().into_iter().rev() {
            match step {
                UndoStep::Hold(id, before) => drop(self.holds.set(id, before)),
                UndoStep::Resolution(hold) => self.recent.remove_resolution(hold),
                UndoStep::Refund(payment, before) => self.refunds.restore_total(payment, before),
                UndoStep::Reversal(movement) => self.reversals.remove_reversal(movement),
                UndoStep::Movement(flow, asset_index, amount) => {
                    self.days.uncount_movement(flow, asset_index, amount);
                }
                UndoStep::DayClosed(day) => self.days.reopen(day),
                UndoStep::KeyCreated(key) => self.keys.remove_newest(key),
                UndoStep::KeyRevoked(key, before) => {
                    self.keys.set_revoked(key, before);
                }
            }
        }
    }
}
