//! Who is told of the journal's syncs: storage measures nothing itself, since it asks no clock.

/// Told on the writer's thread, around every fdatasync of a segment that appends wait for. It must not wait for anything.
pub trait SyncWatch: Send + Sync {
    /// One begins: what was gathered is with the file.
    fn sync_begins(&self);

    /// It has ended. A sync that failed never does: it ends the journal.
    fn sync_ends(&self);
}
