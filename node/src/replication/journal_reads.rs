//! Reads of the journal that replication waits for without holding its thread: what is in memory is
//! read at once, anything else on a reading thread. It never writes.

use std::{io, sync::Arc};

use evenkeel_storage::journal::{Journal, Record, Tip};
use evenkeel_wire::id::NODES;

use crate::history::{LookupThreads, NotLookedUp};

/// The journal, and the threads that read its files. Clones share both.
#[derive(Clone)]
pub struct JournalReads {
    journal: Journal,
    threads: LookupThreads,
}

impl JournalReads {
    pub fn new(journal: Journal, threads: LookupThreads) -> Self {
        Self { journal, threads }
    }

    /// The journal itself.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// As [`Journal::read`].
    ///
    /// # Errors
    /// When the records can't be read.
    pub async fn read(
        &self,
        from: u64,
        until: u64,
        bytes_max: usize,
    ) -> io::Result<Vec<Arc<Record>>> {
        let read =
            move |journal: &Journal| journal.read(from, until, bytes_max).map_err(io::Error::other);
        if self.journal.is_in_memory(from) { read(&self.journal) } else { self.run(read).await }
    }

    /// As [`Journal::tip_at`].
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn tip_at(&self, position: u64) -> io::Result<Option<Tip>> {
        if self.journal.is_in_memory(position) {
            return self.journal.tip_at(position);
        }
        self.run(move |journal| journal.tip_at(position)).await
    }

    /// Calls `work` on a reading thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let journal = self.journal.clone();
        // Replication has few reads under way at a time, so its threads are never too busy.
        let read = self.threads.run(NODES, move || work(&journal)).await;
        read.map_err(|error: NotLookedUp| io::Error::other(error))?
    }
}
