//! The key-value interface below a checkpoint.

use super::CheckpointError;

/// Called with each key and value of a scan; an error ends the scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), CheckpointError>;

/// Keys and values, sorted by key. After a crash, flushed changes are there; of later changes any
/// subset may be.
pub(crate) trait Table {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CheckpointError>;
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError>;
    fn remove(&mut self, key: &[u8]) -> Result<(), CheckpointError>;
    /// Visits all keys from `from` on, in order.
    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), CheckpointError>;
    /// Returns when all earlier changes are durable.
    fn flush(&mut self) -> Result<(), CheckpointError>;

    /// Stores the number of the newest finished generation outside the table: a table that lost its
    /// newest part, or everything, must not pass for an older or a new one. Durable on return.
    fn write_finished(&mut self, generation: u64) -> Result<(), CheckpointError>;
    fn read_finished(&self) -> Result<Option<u64>, CheckpointError>;
}
