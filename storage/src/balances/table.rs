//! The little that a checkpoint asks of whatever keeps its bytes.

use super::CheckpointError;

/// Given one key and value of a scan; an error ends the scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), CheckpointError>;

/// Keys and values, sorted by key. After a crash, what was flushed is there; of what came after,
/// any part may be.
pub(crate) trait Table {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CheckpointError>;
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError>;
    fn remove(&mut self, key: &[u8]) -> Result<(), CheckpointError>;
    /// Visits what has this key or one behind it.
    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), CheckpointError>;
    /// Returns when everything before is durable.
    fn flush(&mut self) -> Result<(), CheckpointError>;

    /// Remembers, beside the table itself, which generation was finished last: a table that lost
    /// its newest part, or everything, must not pass for an older or a new one. Durable on return.
    fn write_finished(&mut self, generation: u64) -> Result<(), CheckpointError>;
    fn read_finished(&self) -> Result<Option<u64>, CheckpointError>;
}
