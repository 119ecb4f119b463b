//! The tables besides the accounts, as checkpoints keep them: each row by itself, under the number
//! of its table. A row replaces any earlier one; an empty value removes it.

use evenkeel_wire::{account::Limits, codec, id::AccountId};

use super::rows::CheckpointRow;
use crate::tables::Tables;

/// Numbers of tables; a number is never given to another table.
const HOLDS: u8 = 1;
const REFUNDS: u8 = 2;
const REVERSALS: u8 = 3;
const KEYS: u8 = 4;
const DAYS: u8 = 5;
const OPENING_LIMITS: u8 = 6;

/// Begins a copy of all rows, or of those that changed since the last one that was written.
pub(crate) fn copy_begin(tables: &mut Tables, all: bool) {
    tables.holds.table.checkpoint_begin(all);
    tables.refunds.checkpoint_begin(all);
    tables.reversals.checkpoint_begin(all);
    tables.keys.rows.checkpoint_begin(all);
    tables.days.checkpoint_begin(all);
}

/// Copies the next rows in their state when the copy began, at most `left` of them, and counts
/// `left` down.
pub(crate) fn copy_next(tables: &mut Tables, left: &mut usize, out: &mut Vec<CheckpointRow>) {
    let mut put = |table, key, value| out.push(CheckpointRow::Table { table, key, value });
    tables.holds.table.checkpoint_next(left, &mut |key, value| put(HOLDS, key, value));
    tables.refunds.checkpoint_next(left, &mut |key, value| put(REFUNDS, key, value));
    tables.reversals.checkpoint_next(left, &mut |key, value| put(REVERSALS, key, value));
    tables.keys.rows.checkpoint_next(left, &mut |key, value| put(KEYS, key, value));
    tables.days.checkpoint_next(left, &mut |key, value| put(DAYS, key, value));
}

/// Whether every row is copied.
pub(crate) fn is_copied(tables: &Tables) -> bool {
    tables.holds.table.checkpoint_is_over()
        && tables.refunds.checkpoint_is_over()
        && tables.reversals.checkpoint_is_over()
        && tables.keys.rows.checkpoint_is_over()
        && tables.days.checkpoint_is_over()
}

/// Ends a copy; `written`: it's complete and durable.
pub(crate) fn copy_end(tables: &mut Tables, written: bool) {
    tables.holds.table.checkpoint_end(written);
    tables.refunds.checkpoint_end(written);
    tables.reversals.checkpoint_end(written);
    tables.keys.rows.checkpoint_end(written);
    tables.days.checkpoint_end(written);
}

/// Checks the next rows, at most `left` of them, and counts `left` down; `table` is the table
/// under way. Returns whether all are checked.
///
/// # Errors
/// Names the table whose rows are unsound.
pub(crate) fn audit_next(
    tables: &mut Tables,
    table: &mut usize,
    left: &mut usize,
) -> Result<bool, String> {
    type AuditTable = fn(&mut Tables, &mut usize) -> Option<bool>;
    let audits: [(&str, AuditTable); 5] = [
        ("open holds", |tables, left| tables.holds.audit_next(left)),
        ("refunded totals", |tables, left| tables.refunds.audit_next(left, &mut |_, _| true)),
        ("reversals", |tables, left| tables.reversals.audit_next(left, &mut |_, _| true)),
        ("keys", |tables, left| tables.keys.audit_next(left)),
        ("days", |tables, left| tables.days.audit_next(tables.accounts.totals().rows(), left)),
    ];
    while let Some((name, audit)) = audits.get(*table) {
        match audit(tables, left) {
            None => return Ok(false),
            Some(false) => {
                return Err(format!("the rows of {name} are unsound"));
            }
            Some(true) => *table = table.saturating_add(1),
        }
    }
    Ok(true)
}

/// The rows are those of a finished checkpoint.
pub(crate) fn mark_checkpointed(tables: &mut Tables) {
    tables.holds.table.mark_checkpointed();
    tables.refunds.mark_checkpointed();
    tables.reversals.mark_checkpointed();
    tables.keys.rows.mark_checkpointed();
    tables.days.mark_checkpointed();
}

/// After all rows were put: whether the tables agree with genesis and the sums of the accounts.
pub(crate) fn finish_loading(tables: &mut Tables) -> Result<(), String> {
    let position = tables.position().unwrap_or(0);
    let genesis = tables.genesis.as_ref().map(|record| &record.genesis);
    let assets = genesis.map_or(&[][..], |genesis| &genesis.assets);
    let operator_key = genesis.map(|genesis| &genesis.operator_key);
    tables.keys.finish_loading(operator_key).map_err(|error| format!("keys: {error}"))?;
    let sums = tables.accounts.totals().rows();
    tables.days.finish_loading(assets, sums, position).map_err(|error| format!("days: {error}"))
}

/// The limits that an account was opened with: a row that never changes, copied with its account.
pub(crate) fn opening_limits_row(account: AccountId, limits: &Limits) -> CheckpointRow {
    let value = codec::encode(limits);
    CheckpointRow::Table { table: OPENING_LIMITS, key: account.number(), value }
}

/// A row of a checkpoint that isn't an account.
pub(crate) enum LoadedRow {
    /// It belongs to one of the small tables, and was put there.
    Table,
    /// The limits that an account was opened with.
    OpeningLimits(AccountId, Limits),
}

/// Puts a row of a checkpoint into its table.
pub(crate) fn load(
    tables: &mut Tables,
    table: u8,
    key: u128,
    value: &[u8],
) -> Result<LoadedRow, String> {
    match table {
        HOLDS => tables.holds.load(key, value)?,
        REFUNDS => tables.refunds.load(key, value)?,
        REVERSALS => tables.reversals.load(key, value)?,
        KEYS => tables.keys.rows.load(key, value)?,
        DAYS => tables.days.load(key, value)?,
        OPENING_LIMITS => {
            let limits = codec::decode(value).map_err(|error| error.to_string())?;
            return Ok(LoadedRow::OpeningLimits(AccountId::new(key), limits));
        }
        _ => return Err("there is no such table".into()),
    }
    Ok(LoadedRow::Table)
}
