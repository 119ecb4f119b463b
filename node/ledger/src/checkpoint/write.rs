//! Checkpoints: a consistent state at one position, copied in slices while entries are applied in between.
//!
//! A row that the running checkpoint still needs is set aside the moment before it changes. Which rows changed is
//! known by epochs: each checkpoint ends one, and a row carries the epoch in which it last changed, so that beginning
//! costs the same however many rows there are.

use evenkeel_wire::{amount::Asset, codec};

use super::{
    digest::OutcomesDigest,
    rows::{CheckpointAccount, CheckpointMarker, CheckpointRow},
};
use crate::{
    Ledger,
    tables::{
        accounts::{
            Accounts, BalanceRow, account_state::AccountState, extra::visible_limit, row_index,
        },
        kept_rows,
    },
};

/// The format of settings, rows and digest.
///
/// - 1: the first.
/// - 2: states, limits and holds of accounts; rows that aren't accounts.
pub const LEDGER_FORMAT: u16 = 2;

/// The setting that holds the genesis with its stamp and index.
pub(crate) const SETTING_GENESIS: &str = "genesis";
/// The setting that holds the ledger's time, the number of outcomes and their digest: three u64.
pub(crate) const SETTING_LEDGER: &str = "ledger";

/// A checkpoint that was begun: the state at its very position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// What is stored when all rows are.
    pub marker: CheckpointMarker,
    /// Whether it consists of all rows, not only of those that changed since the last finished checkpoint.
    pub all: bool,
}

/// Which rows changed, and the checkpoint that is being copied.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Rows that changed since the last checkpoint began carry this.
    epoch: u32,
    /// Those rows, each once.
    changed: Vec<u32>,
    /// Nothing is known of what the last checkpoint lacks.
    all_needed: bool,
    running: Option<RunningCheckpoint>,
}

#[derive(Debug)]
struct RunningCheckpoint {
    settings: Vec<CheckpointRow>,
    walk: AccountScan,
    /// Accounts as they were, that changed before the walk came to them.
    set_aside: Vec<(u32, AccountState)>,
}

#[derive(Debug)]
enum AccountScan {
    /// Every row below `end`; those below `next` are copied.
    All { next: u32, end: u32 },
    /// The rows of an epoch; those that are copied carry [`COPIED`] or a later epoch.
    Changed { slots: Vec<u32>, next: usize, epoch: u32 },
}

/// No row changed in this epoch.
const COPIED: u32 = 0;

impl Changes {
    pub(crate) fn new() -> Self {
        Self { epoch: 1, changed: Vec::new(), all_needed: true, running: None }
    }

    /// The rows are those of a finished checkpoint.
    pub(crate) fn mark_checkpointed(&mut self) {
        *self = Self { all_needed: false, ..Self::new() };
    }

    /// Whether a change of this row is its first since the last checkpoint began.
    #[inline]
    pub(crate) fn is_first_change(&self, row: &BalanceRow) -> bool {
        row.epoch != self.epoch
    }

    /// Must be told before a row changes, and when one is new: that it's about to, and how it stands.
    pub(crate) fn before_change(
        &mut self,
        slot: u32,
        row: &mut BalanceRow,
        standing: AccountState,
    ) {
        if !self.is_first_change(row) {
            return;
        }
        if let Some(running) = &mut self.running
            && running.walk.needs(slot, row)
        {
            running.set_aside.push((slot, standing));
        }
        row.epoch = self.epoch;
        self.changed.push(slot);
    }

    /// A row that was new is gone again.
    pub(crate) fn forget_row(&mut self, slot: u32) {
        if let Some(at) = self.changed.iter().rposition(|changed| *changed == slot) {
            self.changed.swap_remove(at);
        }
    }
}

impl AccountScan {
    /// Whether the walk has yet to copy a row that is as it was when the checkpoint began.
    fn needs(&self, slot: u32, row: &BalanceRow) -> bool {
        match self {
            Self::All { next, end } => (*next..*end).contains(&slot),
            Self::Changed { epoch, .. } => row.epoch == *epoch,
        }
    }

    /// The next row to look at.
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

impl RunningCheckpoint {
    fn is_over(&self) -> bool {
        self.settings.is_empty() && self.set_aside.is_empty() && self.walk.is_over()
    }
}

/// See [`Ledger::checkpoint_begin`]. A checkpoint that is still running counts as not written.
pub(crate) fn begin(ledger: &mut Ledger, all: bool) -> Option<CheckpointHead> {
    if ledger.fault.is_some() {
        return None;
    }
    let last = ledger.last?;
    let digest = ledger.digest();
    let settings = settings(ledger);
    let sums = sums(ledger);
    let accounts = u32::try_from(ledger.accounts.count()).expect("rows are numbered by u32");

    let changes = &mut ledger.accounts.changes;
    let all = all || changes.all_needed;
    let slots = std::mem::take(&mut changes.changed);
    let walk = if all {
        AccountScan::All { next: 0, end: accounts }
    } else {
        AccountScan::Changed { slots, next: 0, epoch: changes.epoch }
    };
    changes.epoch = changes.epoch.checked_add(1).expect("2^32 checkpoints take ages");
    // Until this one is written; one that is still running never will be.
    changes.all_needed = true;
    changes.running = Some(RunningCheckpoint { settings, walk, set_aside: Vec::new() });
    kept_rows::copy_begin(ledger, all);
    let marker = CheckpointMarker {
        format: LEDGER_FORMAT,
        position: last.position,
        term: last.term,
        time: last.time,
        link: last.link,
        accounts: u64::from(accounts),
        sums,
        digest,
    };
    Some(CheckpointHead { marker, all })
}

impl Ledger {
    /// Copies the next rows of the checkpoint that was begun; looks at `rows_max` rows at the most. True: more to come.
    pub fn checkpoint_next(&mut self, rows_max: usize, out: &mut Vec<CheckpointRow>) -> bool {
        let Some(running) = &mut self.accounts.changes.running else { return false };
        out.append(&mut running.settings);
        let mut left = rows_max.max(1);
        while left > 0
            && let Some(copied) = self.accounts.copy_next()
        {
            left = left.wrapping_sub(1);
            if let Some((slot, standing)) = copied {
                self.accounts.copy_row(slot, &standing, out);
            }
        }
        kept_rows::copy_next(self, &mut left, out);
        !self.checkpoint_is_over()
    }

    fn checkpoint_is_over(&self) -> bool {
        let running = self.accounts.changes.running.as_ref();
        running.is_none_or(RunningCheckpoint::is_over) && kept_rows::is_copied(self)
    }

    /// Ends a checkpoint. Unless it was copied to its end and written, the next one consists of all rows.
    pub fn checkpoint_end(&mut self, written: bool) {
        let written = written && self.checkpoint_is_over();
        let changes = &mut self.accounts.changes;
        if changes.running.take().is_some() {
            changes.all_needed = !written;
            kept_rows::copy_end(self, written);
        }
    }
}

impl Accounts {
    /// Looks at the next row of the running checkpoint: its number and how it stood, where it's to be copied. `None`: there is none.
    #[expect(clippy::option_option, reason = "most rows that are looked at are copied, some not")]
    fn copy_next(&mut self) -> Option<Option<(u32, AccountState)>> {
        let running = self.changes.running.as_mut()?;
        if let Some(set_aside) = running.set_aside.pop() {
            return Some(Some(set_aside));
        }
        let slot = running.walk.next_slot()?;
        let row = &mut self.rows[row_index(slot)];
        if row.epoch == self.changes.epoch {
            // Changed since the checkpoint began: it was set aside then.
            return Some(None);
        }
        if let AccountScan::Changed { .. } = &running.walk {
            row.epoch = COPIED;
        }
        Some(Some((slot, self.account_state(slot))))
    }

    /// A row as it's stored, with what it was opened with where that says more than the row can.
    fn copy_row(&self, slot: u32, standing: &AccountState, out: &mut Vec<CheckpointRow>) {
        let row = self.row(slot);
        let opened = &self.opened[row_index(slot)];
        if opened.limits != 0
            && let Some(limits) = self.opening_limits.get(opened.limits)
        {
            out.push(kept_rows::opening_limits_row(row.id, &limits));
        }
        out.push(CheckpointRow::Account(CheckpointAccount {
            id: row.id.number(),
            kind: row.kind.byte(),
            status: standing.status.byte(),
            asset: self.asset(row).number(),
            posted: standing.posted,
            held: standing.extra.held,
            incoming_holds: standing.extra.incoming_holds,
            debited_today: standing.debited_today,
            debited_date: standing.debited_date,
            max_balance: visible_limit(standing.extra.max_balance),
            per_transfer: visible_limit(standing.extra.per_transfer),
            daily_debit: visible_limit(standing.extra.daily_debit),
            opened_at: opened.at,
            opened_position: opened.position,
            opened_index: opened.index,
            changed_position: standing.changed_position,
            label: opened.label.as_str().to_owned(),
        }));
    }
}

fn settings(ledger: &Ledger) -> Vec<CheckpointRow> {
    let setting = |name: &str, value| CheckpointRow::Setting { name: name.to_owned(), value };
    let OutcomesDigest { count, sum } = ledger.outcomes;
    let mut settings = vec![setting(SETTING_LEDGER, codec::encode(&(ledger.time, count, sum)))];
    if let Some(founded) = &ledger.genesis {
        settings.push(setting(SETTING_GENESIS, founded.encode()));
    }
    settings
}

/// Each asset's sum.
pub(crate) fn sums(ledger: &Ledger) -> Vec<(u64, i128)> {
    let assets: &[Asset] = ledger.genesis.as_ref().map_or(&[], |founded| &founded.genesis.assets);
    let totals = ledger.accounts.totals();
    assets.iter().enumerate().map(|(at, asset)| (asset.number(), totals.sum(at))).collect()
}
