//! The balances as a checkpoint: what the journal up to one position amounts to, so that a start
//! need not replay all of it.
//!
//! Derived, never the truth: damaged or missing, it is set aside ([`quarantine()`]) and rebuilt from
//! the journal. Written in generations. Every row has two slots, and a generation only ever writes
//! over the slot that the finished generation before it does not need; the marker comes last. A
//! crash anywhere therefore leaves the previous generation whole.
//!
//! What is trusted is not sled but our own sums: each row carries a checksum, and the marker
//! carries the count, the sums per asset and a digest over exactly the rows that are alive, so a
//! row that sled forgot, or brought back from the past, is noticed at load.
//!
//! Never on the way of a command. Blocking: give it a thread of its own. Accounts and settings are
//! never removed: an account that closes stays as a closed account. Entries can be ([`Row::Entry`]).

mod checkpoint;
mod error;
mod generations;
mod load;
mod memory;
mod quarantine;
mod removed;
mod rows;
mod sled_table;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use checkpoint::{SledCheckpoints, SledTimeouts};
pub use error::CheckpointError;
pub use memory::MemoryCheckpoints;
pub use quarantine::quarantine;
pub use rows::marker::Marker;
pub use rows::{AccountRow, Row};

/// The longest label of an account, in bytes.
pub const LABEL_BYTES_MAX: usize = 4 << 10;
/// The longest name of a setting, in bytes.
pub const SETTING_NAME_BYTES_MAX: usize = 1 << 10;
/// The longest value of a setting, in bytes.
pub const SETTING_VALUE_BYTES_MAX: usize = 1 << 20;
/// The longest value of an entry, in bytes.
pub const ENTRY_VALUE_BYTES_MAX: usize = 1 << 20;
/// The most assets a marker can carry sums of.
pub const SUMS_MAX: usize = 4 << 10;

/// Where checkpoints are kept: sled in production, memory in the simulation.
///
/// The order is `begin`, any number of `put`, `finish`; `load` at the start. A generation that was
/// begun and not finished counts for nothing, however much of it was put.
pub trait Checkpoints: Send {
    /// Begins a generation and says its number. Rows of an earlier one that was never finished are
    /// removed first. Loads (and so verifies) what is there if nobody has done so yet. `all`: it
    /// will be of all rows, so entries that aren't put are gone with it.
    fn begin(&mut self, all: bool) -> Result<u64, CheckpointError>;

    /// Puts rows into the generation begun: one bounded batch, the last of equal rows wins.
    /// A row too large to be kept refuses the whole batch before anything is written. An entry
    /// without a value removes the entry of that table and key, if there is one.
    fn put(&mut self, rows: &[Row]) -> Result<(), CheckpointError>;

    /// Makes the rows durable, then the marker. The marker names the generation of `begin`; its
    /// count of accounts and its sums must agree with the rows, or it is refused.
    fn finish(&mut self, marker: Marker) -> Result<(), CheckpointError>;

    /// Hands out the rows of the newest finished generation and then its marker. None: there is no
    /// checkpoint. Rows are handed out before everything is verified: after an error, forget them.
    /// What `each` refuses ends the load with [`CheckpointError::Refused`].
    fn load(
        &mut self,
        each: &mut dyn FnMut(Row) -> Result<(), String>,
    ) -> Result<Option<Marker>, CheckpointError>;
}

/// Opens the checkpoint in the folder, or begins an empty one. Says nothing yet about the rows:
/// `load` does.
pub fn open(folder: &Path) -> Result<SledCheckpoints, CheckpointError> {
    SledCheckpoints::open(folder, SledTimeouts::default())
}
