//! The checkpoint of balances: the result of replaying the journal up to one position, so that a
//! start doesn't replay all of it.
//!
//! The checkpoint is derived data: if it is damaged or missing, it is set aside ([`quarantine()`])
//! and rebuilt from the journal. It is written in generations. Every row has two slots, and a
//! generation overwrites only the slot that the finished generation before it doesn't need. The
//! marker is written last, so a crash at any point leaves the previous generation whole.
//!
//! sled isn't trusted; our own checks are. Each row has a checksum. The marker has the count, the
//! sums per asset and a digest over exactly the live rows, so a row that sled lost, or restored
//! from an older state, is detected at load.
//!
//! No command waits for it. It blocks: run it on its own thread. Accounts and settings are never
//! removed: a closed account stays as a closed account. Entries can be removed ([`Row::Entry`]).
//!
//! - `rows`: the bytes of rows and of the marker, and the totals that check them.
//! - `generations`: writes a generation; `removed` sweeps removed entries.
//! - `load`: reads and verifies the newest finished generation.
//! - `table`: the storage interface below; `sled_table` implements it.
//! - `checkpoint`: sled behind a thread with timeouts; `memory`: in memory, for the simulation.
//! - `quarantine`: renames a damaged folder.
//! - `error`: why a checkpoint can't be read or written.

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

pub use checkpoint::{SledCheckpoints, SledTimeouts, contains_panics};
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
/// The most assets for which a marker can hold sums.
pub const SUMS_MAX: usize = 4 << 10;

/// A store of checkpoints: sled in production, memory in the simulation.
///
/// The order of calls is `begin`, any number of `put`, `finish`; `load` at the start. A generation
/// that was begun and not finished doesn't count, however many rows were put.
pub trait Checkpoints: Send {
    /// Begins a generation and returns its number. Rows of an earlier, unfinished one are removed
    /// first. Loads and verifies the store if nothing did so before. `all`: the generation will
    /// contain all rows, so entries that aren't put are removed.
    fn begin(&mut self, all: bool) -> Result<u64, CheckpointError>;

    /// Puts a bounded batch of rows into the current generation; of equal keys the last row wins.
    /// If a row is too large, the whole batch is rejected before anything is written. An entry
    /// without a value removes the entry of that table and key, if there is one.
    fn put(&mut self, rows: &[Row]) -> Result<(), CheckpointError>;

    /// Makes the rows durable, then the marker. The marker must name the generation returned by
    /// `begin`, and its count of accounts and its sums must agree with the rows, else it is
    /// rejected.
    fn finish(&mut self, marker: Marker) -> Result<(), CheckpointError>;

    /// Passes the rows of the newest finished generation to `each`, then returns its marker; `None`
    /// if there is no checkpoint. Rows are passed before everything is verified: after an error,
    /// discard them. An `Err` of `each` ends the load with [`CheckpointError::Refused`].
    fn load(
        &mut self,
        each: &mut dyn FnMut(Row) -> Result<(), String>,
    ) -> Result<Option<Marker>, CheckpointError>;
}

/// Opens the checkpoint in the folder, or creates an empty one. Doesn't check the rows: `load`
/// does.
pub fn open(folder: &Path) -> Result<SledCheckpoints, CheckpointError> {
    SledCheckpoints::open(folder, SledTimeouts::default())
}
