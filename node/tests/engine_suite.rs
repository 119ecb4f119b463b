//! The engine's own storage suite, run against the log store: the production store over a
//! production journal with its writer thread, on a disk in memory.
//!
//! The suite expects features that evenkeel never has: purging, snapshots, logs that begin in the
//! middle. A wrapper in this file adds them: records below the purged one are hidden, and gaps at
//! the front are filled with hidden records.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use evenkeel_node::history::{LookupThreads, record_kind};
use evenkeel_node::replication::engine::{
    log_store::LogStore,
    types::{EngineEntry, EngineTypes, LogId, StoredMembership, Vote, log_id},
};
use evenkeel_node::replication::journal_reads::JournalReads;
use evenkeel_storage::{
    disk::MemoryDisk,
    journal::{self, Journal, JournalOptions, NewRecord},
};
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, RaftLogReader, RaftSnapshotBuilder, StorageError,
    storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
    type_config::alias::{SnapshotMetaOf, SnapshotOf},
};

#[tokio::test]
async fn the_engines_own_suite_passes_against_the_log_store() {
    Suite::test_all(Builder).await.expect("the suite passes");
}

struct Builder;

/// Ends the writer's thread together with its test.
struct Closing(Journal);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl StoreBuilder<EngineTypes, Hiding, Machine, Closing> for Builder {
    async fn build(&self) -> Result<(Closing, Hiding, Machine), StorageError<EngineTypes>> {
        let disk = Arc::new(MemoryDisk::new(1));
        let options = JournalOptions { segment_bytes: 8 << 10, ..JournalOptions::new([7; 16]) };
        let (journal, writer, _) =
            journal::open(disk, Path::new("/data"), options).expect("an empty disk opens");
        std::thread::spawn(move || writer.run());
        let reads = JournalReads::new(journal.clone(), LookupThreads::default());
        let inner = LogStore::new(reads, None, None);
        let hiding =
            Hiding { inner, journal: journal.clone(), visible_from: Arc::default(), purged: None };
        Ok((Closing(journal), hiding, Machine::default()))
    }
}

/// The log store with a hidden front.
struct Hiding {
    inner: LogStore,
    journal: Journal,
    visible_from: Arc<AtomicU64>,
    purged: Option<LogId>,
}

impl Hiding {
    fn last(&self) -> Option<LogId> {
        let tip = self.journal.newest_tip();
        let tip = tip.filter(|tip| tip.position >= self.visible_from.load(Ordering::Relaxed));
        tip.map(|tip| log_id(tip.term, tip.position))
    }

    /// Fills the gap between the journal's end and a log that begins later.
    fn fill_up_to(&self, first: u64) -> Result<(), io::Error> {
        let due = self.journal.newest_tip().map_or(0, |tip| tip.position + 1);
        if due >= first {
            return Ok(());
        }
        let fillers = (due..first).map(|position| NewRecord {
            position,
            term: 0,
            time: 0,
            kind: record_kind::BLANK,
            payload: bytes::Bytes::new(),
        });
        self.visible_from.store(first, Ordering::Relaxed);
        self.journal.append(fillers.collect(), Box::new(|_| ())).map_err(io::Error::other)
    }
}

/// Reads through the production store, without hidden records.
struct Reader {
    inner: LogStore,
    visible_from: Arc<AtomicU64>,
}

impl Reader {
    fn visible(&self, range: &impl RangeBounds<u64>) -> (Bound<u64>, Bound<u64>) {
        let from = self.visible_from.load(Ordering::Relaxed);
        let start = match range.start_bound() {
            Bound::Included(start) => (*start).max(from),
            Bound::Excluded(before) => (*before + 1).max(from),
            Bound::Unbounded => from,
        };
        (Bound::Included(start), range.end_bound().cloned())
    }
}

impl RaftLogReader<EngineTypes> for Reader {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<EngineEntry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let visible = self.visible(&range);
        self.inner.try_get_log_entries(visible).await
    }

    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<EngineEntry, io::Error>> + Send
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let visible = self.visible(&range);
        self.inner.entries_stream(visible).await.boxed()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.inner.read_vote().await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<EngineEntry>, io::Error> {
        let start = start.max(self.visible_from.load(Ordering::Relaxed));
        self.inner.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<EngineTypes> for Hiding {
    type LogReader = Reader;

    async fn get_log_state(&mut self) -> Result<LogState<EngineTypes>, io::Error> {
        let last_log_id = self.last().max(self.purged);
        Ok(LogState { last_purged_log_id: self.purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Reader {
        let inner = self.inner.get_log_reader().await;
        Reader { inner, visible_from: self.visible_from.clone() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.inner.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.inner.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        // The production store got it at its start; this is what the next start would pass.
        let Some(position) = self.journal.committed_position() else { return Ok(None) };
        let tip = self.journal.tip_at(position).map_err(io::Error::other)?;
        Ok(tip.map(|tip| log_id(tip.term, tip.position)))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<EngineTypes>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EngineEntry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<EngineEntry> = entries.into_iter().collect();
        if let Some(first) = entries.first() {
            self.fill_up_to(first.log_id.index())?;
        }
        self.inner.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        // The engine never truncates beyond the journal's end; the suite does once.
        if last.map(|id| id.index()) > self.journal.newest_tip().map(|tip| tip.position) {
            return Ok(());
        }
        self.inner.truncate_after(last).await
    }

    async fn purge(&mut self, id: LogId) -> Result<(), io::Error> {
        assert!(self.inner.purge(id).await.is_err(), "the production store never purges");
        self.purged = self.purged.max(Some(id));
        self.visible_from.fetch_max(id.index() + 1, Ordering::Relaxed);
        Ok(())
    }
}

/// A state machine whose only state is its position.
#[derive(Clone, Default)]
struct Machine {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<SnapshotMetaOf<EngineTypes>>,
    built: Arc<std::sync::Mutex<Option<SnapshotMetaOf<EngineTypes>>>>,
}

impl RaftStateMachine<EngineTypes> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<EngineTypes>, io::Error>> + Unpin + Send,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(members) = &entry.payload {
                self.membership = StoredMembership::new(Some(entry.log_id), members.clone());
            }
            if let Some(responder) = responder {
                responder.send(None);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<EngineTypes>,
        _snapshot: (),
    ) -> Result<(), io::Error> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<EngineTypes, ()>>, io::Error> {
        let built = self.built.lock().expect("no test panics here").clone();
        let meta = built.or_else(|| self.snapshot.clone());
        Ok(meta.map(|meta| SnapshotOf::<EngineTypes, ()> { meta, snapshot: () }))
    }
}

impl RaftSnapshotBuilder<EngineTypes> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<EngineTypes, ()>, io::Error> {
        let meta = SnapshotMetaOf::<EngineTypes> {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
        };
        *self.built.lock().expect("no test panics here") = Some(meta.clone());
        Ok(SnapshotOf::<EngineTypes, ()> { meta, snapshot: () })
    }
}
