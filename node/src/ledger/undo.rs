//! The way back for an atomic group that fails: what it changed besides accounts, as it was. Costs nothing outside of one.

use evenkeel_wire::id::CommandId;

use super::{Ledger, holds::OpenHold};

/// One change, and what undoes it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A hold was opened or closed: it was this.
    Hold(CommandId, Option<OpenHold>),
    /// It was noted what closed a hold.
    Resolved(CommandId),
}

/// The changes of the group under way.
#[derive(Debug, Default)]
pub(super) struct Undo {
    steps: Option<Vec<Step>>,
}

impl Undo {
    /// Notes a change, where it may have to be undone.
    #[inline]
    pub(super) fn push(&mut self, step: impl FnOnce() -> Step) {
        if let Some(steps) = &mut self.steps {
            steps.push(step());
        }
    }
}

impl Ledger {
    /// From here on, changes can be undone.
    pub(super) fn begin_group(&mut self) {
        self.accounts.begin_group();
        self.undo.steps = Some(Vec::new());
    }

    /// Changes since [`Self::begin_group`] stay.
    pub(super) fn keep_group(&mut self) {
        self.accounts.keep_group();
        self.undo.steps = None;
    }

    /// Everything is again as it was at [`Self::begin_group`].
    pub(super) fn undo_group(&mut self) {
        self.accounts.undo_group();
        for step in self.undo.steps.take().unwrap_or_default().into_iter().rev() {
            match step {
                Step::Hold(id, before) => drop(self.holds.set(id, before)),
                Step::Resolved(hold) => self.recent.unresolve(hold),
            }
        }
    }
}
