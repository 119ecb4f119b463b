//! The tables besides the accounts, as checkpoints keep them: each row by itself, under the number of its table.
//!
//! A row is absolute; one with an empty value says that there is none any more.

use evenkeel_wire::{account::Limits, codec, id::AccountId};

use crate::{Ledger, checkpoint::rows::CheckpointRow};

/// Numbers of tables; never given to another.
const HOLDS: u8 = 1;
const REFUNDS: u8 = 2;
const REVERSALS: u8 = 3;
const KEYS: u8 = 4;
const DAYS: u8 = 5;
const OPENING_LIMITS: u8 = 6;

/// Begins a copy of all rows, or of those that changed since the last one that was written.
pub(crate) fn copy_begin(ledger: &mut Ledger, all: bool) {
    ledger.holds.table.checkpoint_begin(all);
    ledger.refunds.checkpoint_begin(all);
    ledger.reversals.checkpoint_begin(all);
    ledger.keys.rows.checkpoint_begin(all);
    ledger.days.checkpoint_begin(all);
}

/// Copies the next rows as they were when the copy began, at most `left` of them, and counts `left` down.
pub(crate) fn copy_next(ledger: &mut Ledger, left: &mut usize, out: &mut Vec<CheckpointRow>) {
    let mut put = |table, key, value| out.push(table_row(table, key, value));
    ledger.holds.table.checkpoint_next(left, &mut |key, value| put(HOLDS, key, value));
    ledger.refunds.checkpoint_next(left, &mut |key, value| put(REFUNDS, key, value));
    ledger.reversals.checkpoint_next(left, &mut |key, value| put(REVERSALS, key, value));
    ledger.keys.rows.checkpoint_next(left, &mut |key, value| put(KEYS, key, value));
    ledger.days.checkpoint_next(left, &mut |key, value| put(DAYS, key, value));
}

/// Whether every row is copied.
pub(crate) fn is_copied(ledger: &Ledger) -> bool {
    ledger.holds.table.checkpoint_is_over()
        && ledger.refunds.checkpoint_is_over()
        && ledger.reversals.checkpoint_is_over()
        && ledger.keys.rows.checkpoint_is_over()
        && ledger.days.checkpoint_is_over()
}

/// Ends a copy; `written`: it's whole and durable.
pub(crate) fn copy_end(ledger: &mut Ledger, written: bool) {
    ledger.holds.table.checkpoint_end(written);
    ledger.refunds.checkpoint_end(written);
    ledger.reversals.checkpoint_end(written);
    ledger.keys.rows.checkpoint_end(written);
    ledger.days.checkpoint_end(written);
}

/// Looks at the next rows, at most `left` of them, and counts `left` down; `table` is how far it is. Whether it's through.
///
/// # Errors
/// Names the table whose rows aren't sound.
pub(crate) fn audit_next(
    ledger: &mut Ledger,
    table: &mut usize,
    left: &mut usize,
) -> Result<bool, &'static str> {
    type AuditTable = fn(&mut Ledger, &mut usize) -> Option<bool>;
    let tables: [(&str, AuditTable); 5] = [
        ("open holds", |ledger, left| ledger.holds.audit_next(left)),
        ("refunded totals", |ledger, left| ledger.refunds.audit_next(left, &mut |_, _| true)),
        ("reversals", |ledger, left| ledger.reversals.audit_next(left, &mut |_, _| true)),
        ("keys", |ledger, left| ledger.keys.audit_next(left)),
        ("days", |ledger, left| ledger.days.audit_next(ledger.accounts.totals().rows(), left)),
    ];
    while let Some((name, audit)) = tables.get(*table) {
        match audit(ledger, left) {
            None => return Ok(false),
            Some(false) => return Err(name),
            Some(true) => *table = table.saturating_add(1),
        }
    }
    Ok(true)
}

/// The rows are those of a finished checkpoint.
pub(crate) fn mark_checkpointed(ledger: &mut Ledger) {
    ledger.holds.table.mark_checkpointed();
    ledger.refunds.mark_checkpointed();
    ledger.reversals.mark_checkpointed();
    ledger.keys.rows.mark_checkpointed();
    ledger.days.mark_checkpointed();
}

/// After every row of a checkpoint was put: whether the tables agree with genesis and with the accounts' sums.
pub(crate) fn finish_loading(ledger: &mut Ledger) -> Result<(), String> {
    let position = ledger.position().unwrap_or(0);
    let genesis = ledger.genesis.as_ref().map(|founded| &founded.genesis);
    let assets = genesis.map_or(&[][..], |genesis| &genesis.assets);
    let operator_key = genesis.map(|genesis| &genesis.operator_key);
    ledger.keys.finish_loading(operator_key).map_err(|what| format!("keys: {what}"))?;
    let sums = ledger.accounts.totals().rows();
    ledger.days.finish_loading(assets, sums, position).map_err(|what| format!("days: {what}"))
}

/// The limits that an account was opened with: a row that never changes, copied whenever its account is.
pub(crate) fn opening_limits_row(account: AccountId, limits: &Limits) -> CheckpointRow {
    table_row(OPENING_LIMITS, account.number(), codec::encode(limits))
}

/// A checkpoint's row, as far as it's no account's.
pub(crate) enum LoadedRow {
    /// It has found its place.
    Table,
    /// An account was opened with these.
    OpeningLimits(AccountId, Limits),
}

/// Puts a checkpoint's row where it belongs.
pub(crate) fn load(
    ledger: &mut Ledger,
    table: u8,
    key: u128,
    value: &[u8],
) -> Result<LoadedRow, String> {
    match table {
        HOLDS => ledger.holds.load(key, value)?,
        REFUNDS => ledger.refunds.load(key, value)?,
        REVERSALS => ledger.reversals.load(key, value)?,
        KEYS => ledger.keys.rows.load(key, value)?,
        DAYS => ledger.days.load(key, value)?,
        OPENING_LIMITS => {
            let limits = codec::decode(value).map_err(|error| error.to_string())?;
            return Ok(LoadedRow::OpeningLimits(AccountId::new(key), limits));
        }
        _ => return Err("there is no such table".into()),
    }
    Ok(LoadedRow::Table)
}

/// A row as it's stored.
fn table_row(table: u8, key: u128, value: Vec<u8>) -> CheckpointRow {
    CheckpointRow::Table { table, key, value }
}
