//! Checkpoints: a consistent state at one position, copied in slices while entries are applied.

use evenkeel_wire::{amount::Asset, codec};

use super::{
    digest,
    rows::{CheckpointAccount, CheckpointMarker, CheckpointRow},
    small_tables,
};
use crate::tables::{
    Tables,
    accounts::{Accounts, account_state::AccountState, extra::visible_limit, row_index},
    outcomes::OutcomesDigest,
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

/// A checkpoint that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// What is stored after all rows.
    pub marker: CheckpointMarker,
    /// Whether it consists of all rows, or only of those that changed since the last finished
    /// checkpoint.
    pub all: bool,
}

/// A checkpoint that is being copied.
#[derive(Debug)]
pub(crate) struct RunningCheckpoint {
    /// Settings that aren't copied yet.
    settings: Vec<CheckpointRow>,
}

/// See [`Ledger::checkpoint_begin`](crate::Ledger::checkpoint_begin).
pub(crate) fn begin(tables: &mut Tables, all: bool) -> Option<(CheckpointHead, RunningCheckpoint)> {
    let last = tables.last?;
    let marker = CheckpointMarker {
        format: LEDGER_FORMAT,
        position: last.position,
        term: last.term,
        time: last.time,
        link: last.link,
        accounts: u64::try_from(tables.accounts.count()).expect("usize fits in 64 bits"),
        sums: sums(tables),
        digest: digest::ledger_digest(tables),
    };
    let running = RunningCheckpoint { settings: settings(tables) };
    let all = tables.accounts.checkpoint_begin(all);
    small_tables::copy_begin(tables, all);
    Some((CheckpointHead { marker, all }, running))
}

impl RunningCheckpoint {
    /// See [`Ledger::checkpoint_next`](crate::Ledger::checkpoint_next).
    pub(crate) fn copy_next(
        &mut self,
        tables: &mut Tables,
        rows_max: usize,
        out: &mut Vec<CheckpointRow>,
    ) -> bool {
        out.append(&mut self.settings);
        let mut left = rows_max.max(1);
        while left > 0
            && let Some(visited) = tables.accounts.checkpoint_next()
        {
            left = left.wrapping_sub(1);
            if let Some((slot, state)) = visited {
                copy_account(&tables.accounts, slot, &state, out);
            }
        }
        small_tables::copy_next(tables, &mut left, out);
        !self.is_over(tables)
    }

    /// See [`Ledger::checkpoint_end`](crate::Ledger::checkpoint_end).
    pub(crate) fn end(&self, tables: &mut Tables, written: bool) {
        let written = written && self.is_over(tables);
        tables.accounts.checkpoint_end(written);
        small_tables::copy_end(tables, written);
    }

    fn is_over(&self, tables: &Tables) -> bool {
        self.settings.is_empty()
            && tables.accounts.checkpoint_is_over()
            && small_tables::is_copied(tables)
    }
}

/// Copies an account in this state, and the limits that it was opened with, if it was with any.
fn copy_account(
    accounts: &Accounts,
    slot: u32,
    state: &AccountState,
    out: &mut Vec<CheckpointRow>,
) {
    let row = accounts.row(slot);
    let opened = &accounts.opened[row_index(slot)];
    if opened.limits != 0
        && let Some(limits) = accounts.opening_limits.get(opened.limits)
    {
        out.push(small_tables::opening_limits_row(row.id, &limits));
    }
    out.push(CheckpointRow::Account(CheckpointAccount {
        id: row.id.number(),
        kind: row.kind.byte(),
        status: state.status.byte(),
        asset: accounts.asset(row).number(),
        posted: state.posted,
        held: state.extra.held,
        incoming_holds: state.extra.incoming_holds,
        debited_today: state.debited_today,
        debited_date: state.debited_date,
        max_balance: visible_limit(state.extra.max_balance),
        per_transfer: visible_limit(state.extra.per_transfer),
        daily_debit: visible_limit(state.extra.daily_debit),
        opened_at: opened.at,
        opened_position: opened.position,
        opened_index: opened.index,
        changed_position: state.changed_position,
        label: opened.label.as_str().to_owned(),
    }));
}

fn settings(tables: &Tables) -> Vec<CheckpointRow> {
    let setting = |name: &str, value| CheckpointRow::Setting { name: name.to_owned(), value };
    let OutcomesDigest { count, sum } = tables.outcomes;
    let mut settings = vec![setting(SETTING_LEDGER, codec::encode(&(tables.time, count, sum)))];
    if let Some(record) = &tables.genesis {
        settings.push(setting(SETTING_GENESIS, record.encode()));
    }
    settings
}

/// Each asset's sum.
pub(crate) fn sums(tables: &Tables) -> Vec<(u64, i128)> {
    let assets: &[Asset] = tables.genesis().map_or(&[], |genesis| &genesis.assets);
    let totals = tables.accounts.totals();
    assets.iter().enumerate().map(|(at, asset)| (asset.number(), totals.sum(at))).collect()
}
