//! Which accounts a checkpoint has to copy, and their state at its position while entries are
//! applied.
//!
//! A row that the running checkpoint still needs is set aside before it changes. Changed rows are
//! marked by epochs: each checkpoint ends one, and a row carries the epoch of its last change.
//! Beginning a checkpoint therefore takes the same time for any number of rows.

use super::{Accounts, BalanceRow, account_state::AccountState, row_index};

/// The rows that changed, and the running checkpoint.
#[derive(Debug)]
pub(crate) struct AccountChanges {
    /// Rows that changed since the last checkpoint began carry this.
    epoch: u32,
    /// Those rows, each once.
    changed: Vec<u32>,
    /// The next checkpoint must consist of all rows.
    all_needed: bool,
    copy: Option<AccountsCopy>,
}

/// The accounts of a running checkpoint.
#[derive(Debug)]
struct AccountsCopy {
    scan: AccountScan,
    /// States at the checkpoint's position of rows that changed before the scan reached them.
    set_aside: Vec<(u32, AccountState)>,
}

#[derive(Debug)]
enum AccountScan {
    /// Every row below `end`; those below `next` are copied.
    All { next: u32, end: u32 },
    /// The rows of an epoch; those that are copied carry [`COPIED`] or a later epoch.
    Changed { slots: Vec<u32>, next: usize, epoch: u32 },
}

/// The epoch of a row without changes in the scanned epoch.
const COPIED: u32 = 0;

impl AccountChanges {
    pub(crate) fn new() -> Self {
        Self { epoch: 1, changed: Vec::new(), all_needed: true, copy: None }
    }

    /// Whether a change of this row is its first since the last checkpoint began.
    #[inline]
    pub(crate) fn is_first_change(&self, row: &BalanceRow) -> bool {
        row.epoch != self.epoch
    }

    /// Must be called before a row changes, and when one is new, with its state so far.
    pub(crate) fn before_change(&mut self, slot: u32, row: &mut BalanceRow, state: AccountState) {
        if !self.is_first_change(row) {
            return;
        }
        if let Some(copy) = &mut self.copy
            && copy.scan.needs(slot, row)
        {
            copy.set_aside.push((slot, state));
        }
        row.epoch = self.epoch;
        self.changed.push(slot);
    }

    /// A new row was removed again.
    pub(crate) fn forget_row(&mut self, slot: u32) {
        if let Some(at) = self.changed.iter().rposition(|changed| *changed == slot) {
            self.changed.swap_remove(at);
        }
    }
}

impl AccountScan {
    /// Whether the scan has yet to copy this row, which hasn't changed since the checkpoint began.
    fn needs(&self, slot: u32, row: &BalanceRow) -> bool {
        match self {
            Self::All { next, end } => (*next..*end).contains(&slot),
            Self::Changed { epoch, .. } => row.epoch == *epoch,
        }
    }

    fn next_slot(&mut self) -> Option<u32> {
        match self {
            Self::All { next, end } => {
                let slot = (*next < *end).then_some(*next)?;
                *next = next.wrapping_add(1);
                Some(slot)
            }
            Self::Changed { slots, next, .. } => {
                let slot = slots.get(*next).copied()?;
                *next = next.wrapping_add(1);
                Some(slot)
            }
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::All { next, end } => next >= end,
            Self::Changed { slots, next, .. } => *next >= slots.len(),
        }
    }
}

impl Accounts {
    /// Begins a checkpoint of all rows, or of those that changed since the last finished one.
    /// Returns whether it's of all rows. One that is still running counts as not written.
    pub(crate) fn checkpoint_begin(&mut self, all: bool) -> bool {
        let end = u32::try_from(self.count()).expect("rows are numbered by u32");
        let changes = &mut self.changes;
        let all = all || changes.all_needed;
        let slots = std::mem::take(&mut changes.changed);
        let scan = if all {
            AccountScan::All { next: 0, end }
        } else {
            AccountScan::Changed { slots, next: 0, epoch: changes.epoch }
        };
        changes.epoch = changes.epoch.checked_add(1).expect("fewer than 2^32 checkpoints");
        // Until this one is written.
        changes.all_needed = true;
        changes.copy = Some(AccountsCopy { scan, set_aside: Vec::new() });
        all
    }

    /// Visits the next row of the running checkpoint. Gives its slot and its state at the
    /// checkpoint's position, if it's to be copied. `None`: there is none.
    #[expect(clippy::option_option, reason = "most rows that are visited are copied, some not")]
    pub(crate) fn checkpoint_next(&mut self) -> Option<Option<(u32, AccountState)>> {
        let copy = self.changes.copy.as_mut()?;
        if let Some(set_aside) = copy.set_aside.pop() {
            return Some(Some(set_aside));
        }
        let slot = copy.scan.next_slot()?;
        let row = &mut self.rows[row_index(slot)];
        if row.epoch == self.changes.epoch {
            // It changed since the checkpoint began and was set aside then.
            return Some(None);
        }
        if let AccountScan::Changed { .. } = &copy.scan {
            row.epoch = COPIED;
        }
        Some(Some((slot, self.account_state(slot))))
    }

    /// Whether every row of the running checkpoint is copied.
    pub(crate) fn checkpoint_is_over(&self) -> bool {
        let copy = self.changes.copy.as_ref();
        copy.is_none_or(|copy| copy.set_aside.is_empty() && copy.scan.is_over())
    }

    /// Ends a checkpoint. Unless it was written, the next one consists of all rows.
    pub(crate) fn checkpoint_end(&mut self, written: bool) {
        if self.changes.copy.take().is_some() {
            self.changes.all_needed = !written;
        }
    }

    /// The rows are those of a finished checkpoint.
    pub(crate) fn mark_checkpointed(&mut self) {
        self.changes = AccountChanges { all_needed: false, ..AccountChanges::new() };
    }
}
