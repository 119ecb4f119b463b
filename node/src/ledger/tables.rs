//! The tables besides the accounts, as checkpoints keep them: each row by itself, under the number of its table.
//!
//! A row is absolute; one with an empty value says that there is none any more.

use evenkeel_storage::balances as stored;
use evenkeel_wire::{account::Limits, codec, id::AccountId};

use super::Ledger;

/// Numbers of tables; never given to another.
const HOLDS: u8 = 1;
const OPENING_LIMITS: u8 = 6;

/// Begins a copy of all rows, or of those that changed since the last one that was written.
pub(super) fn copy_begin(ledger: &mut Ledger, all: bool) {
    ledger.holds.table.checkpoint_begin(all);
}

/// Copies the next rows as they were when the copy began, at most `left` of them, and counts `left` down.
pub(super) fn copy_next(ledger: &mut Ledger, left: &mut usize, out: &mut Vec<stored::Row>) {
    ledger
        .holds
        .table
        .checkpoint_next(left, &mut |key, value| out.push(stored_row(HOLDS, key, value)));
}

/// Whether every row is copied.
pub(super) fn is_copied(ledger: &Ledger) -> bool {
    ledger.holds.table.checkpoint_is_over()
}

/// Ends a copy; `written`: it's whole and durable.
pub(super) fn copy_end(ledger: &mut Ledger, written: bool) {
    ledger.holds.table.checkpoint_end(written);
}

/// Looks at the next rows, at most `left` of them, and counts `left` down. `None`: there are more; else whether every table
/// is sound, or which one isn't.
pub(super) fn audit_next(
    ledger: &mut Ledger,
    left: &mut usize,
) -> Option<Result<(), &'static str>> {
    let sound = ledger.holds.audit_next(left)?;
    Some(if sound { Ok(()) } else { Err("open holds") })
}

/// The rows are those of a finished checkpoint.
pub(super) fn none_since_checkpoint(ledger: &mut Ledger) {
    ledger.holds.table.none_since_checkpoint();
}

/// The limits that an account was opened with: a row that never changes, copied whenever its account is.
pub(super) fn opening_limits(account: AccountId, limits: &Limits) -> stored::Row {
    stored_row(OPENING_LIMITS, account.number(), codec::encode(limits))
}

/// A checkpoint's row, as far as it's no account's.
pub(super) enum Loaded {
    /// It has found its place.
    Table,
    /// An account was opened with these.
    OpeningLimits(AccountId, Limits),
}

/// Puts a checkpoint's row where it belongs.
pub(super) fn load(
    ledger: &mut Ledger,
    table: u8,
    key: u128,
    value: &[u8],
) -> Result<Loaded, String> {
    match table {
        HOLDS => ledger.holds.load(key, value)?,
        OPENING_LIMITS => {
            let limits = codec::decode(value).map_err(|error| error.to_string())?;
            return Ok(Loaded::OpeningLimits(AccountId::new(key), limits));
        }
        _ => return Err("there is no such table".into()),
    }
    Ok(Loaded::Table)
}

/// A row as it's stored.
fn stored_row(table: u8, key: u128, value: Vec<u8>) -> stored::Row {
    stored::Row::Setting { name: format!("entry {table} {key:032x}"), value }
}

/// The table and the key of a setting that is a row.
pub(super) fn row_of(name: &str) -> Option<(u8, u128)> {
    let (table, key) = name.strip_prefix("entry ")?.split_once(' ')?;
    Some((table.parse().ok()?, u128::from_str_radix(key, 16).ok()?))
}
