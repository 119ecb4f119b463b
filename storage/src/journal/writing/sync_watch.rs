//! Reports the journal's syncs. Storage reads no clock, so the caller measures their duration.

/// Called on the writer's thread around every fdatasync of a segment that appends wait for.
/// Implementations must not block.
pub trait SyncWatch: Send + Sync {
    /// A sync begins. The gathered bytes were written to the file before.
    fn sync_begins(&self);

    /// The sync succeeded. Not called after a failed sync, which poisons the journal.
    fn sync_ends(&self);
}
