//! The way back for an atomic group that fails: what it changed besides accounts, as it was. Costs nothing outside of one.

use evenkeel_wire::id::{CommandId, KeyId};

use crate::{
    Ledger,
    rules::flows::Flow,
    tables::{days::OpenDay, holds::OpenHold},
};

/// One change, and what undoes it.
#[derive(Clone, Debug)]
pub(crate) enum UndoStep {
    /// A hold was opened or closed: it was this.
    Hold(CommandId, Option<OpenHold>),
    /// It was noted what closed a hold.
    Resolved(CommandId),
    /// A payment was refunded: so much of it was before.
    Refunded(CommandId, u64),
    /// A movement was reversed.
    Reversed(CommandId),
    /// A movement of an asset was counted.
    Moved(Flow, u8, u64),
    /// A day was closed: it was this.
    DayClosed(OpenDay),
    /// A key was made.
    KeyMade(KeyId),
    /// A key was revoked: whether it was before.
    KeyRevoked(KeyId, bool),
}

/// The changes of the group under way.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    steps: Option<Vec<UndoStep>>,
}

impl UndoLog {
    /// Notes a change, where it may have to be undone.
    #[inline]
    pub(crate) fn push(&mut self, step: impl FnOnce() -> UndoStep) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }
}

impl Ledger {
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

    /// Everything is again as it was at [`Self::begin_group`].
    pub(crate) fn roll_back_group(&mut self) {
        self.accounts.roll_back_group();
        for step in self.undo.steps.take().unwrap_or_default().into_iter().rev() {
            match step {
                UndoStep::Hold(id, before) => drop(self.holds.set(id, before)),
                UndoStep::Resolved(hold) => self.recent.remove_resolution(hold),
                UndoStep::Refunded(payment, before) => self.refunds.restore_total(payment, before),
                UndoStep::Reversed(movement) => self.reversals.remove_reversal(movement),
                UndoStep::Moved(flow, asset_index, amount) => {
                    self.days.uncount_movement(flow, asset_index, amount);
                }
                UndoStep::DayClosed(day) => self.days.reopen(day),
                UndoStep::KeyMade(key) => self.keys.remove_newest(key),
                UndoStep::KeyRevoked(key, before) => self.keys.set_revoked(key, before),
            }
        }
    }
}
