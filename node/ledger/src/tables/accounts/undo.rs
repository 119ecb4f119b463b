//! The undo log of accounts for an atomic group that fails.

use super::{Accounts, account_state::AccountState, digest, row_index};

/// The accounts when the group began.
#[derive(Debug)]
pub(crate) struct AccountsUndo {
    /// How many accounts there were.
    accounts: usize,
    /// How many of them had limits and holds of their own.
    extras: usize,
    /// States before each change, in order.
    changed: Vec<(u32, AccountState)>,
}

impl AccountsUndo {
    /// Records a state before a change.
    pub(crate) fn push(&mut self, slot: u32, state: AccountState) {
        self.changed.push((slot, state));
    }
}

impl Accounts {
    /// From here on, changes can be undone.
    pub(crate) fn begin_group(&mut self) {
        let (accounts, extras) = (self.count(), self.extras.len());
        self.undo = Some(AccountsUndo { accounts, extras, changed: Vec::new() });
    }

    /// Changes since [`Self::begin_group`] stay.
    pub(crate) fn commit_group(&mut self) {
        self.undo = None;
    }

    /// Undoes all changes since [`Self::begin_group`].
    pub(crate) fn roll_back_group(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (slot, state) in undo.changed.iter().rev() {
            self.put_state(*slot, state);
        }
        for (slot, _) in &undo.changed {
            // Limits and holds that are removed below.
            let row = &mut self.rows[row_index(*slot)];
            if row_index(row.extra) > undo.extras {
                row.extra = 0;
            }
        }
        while self.extras.len() > undo.extras {
            self.extras.pop();
        }
        while self.count() > undo.accounts {
            self.remove_newest();
        }
    }

    /// Removes the newest account, which is in its state of opening.
    fn remove_newest(&mut self) {
        let Some(row) = self.rows.pop() else { return };
        self.opened.pop();
        let slot = u32::try_from(self.rows.len()).expect("it had this number");
        let hash = self.seed.hash(row.id.number());
        self.shards[hash.shard()].remove(hash, slot);
        self.digest = self.digest.wrapping_sub(digest::row(&row));
        self.changes.forget_row(slot);
    }
}
