//! A journal on a disk in memory, and the steps that the tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use evenkeel_storage::disk::{Disk, MemoryDisk};
use evenkeel_storage::journal::{
    self, Completion, Journal, JournalOptions, JournalRecovery, NewRecord, OpenError, Writer,
    WriterStep,
};
use evenkeel_storage::{ClusterId, Position};

pub(crate) const CLUSTER: ClusterId = *b"evenkeel testing";
pub(crate) const SEGMENT_BYTES: u64 = 4096;

pub(crate) fn folder() -> &'static Path {
    Path::new("/data")
}

pub(crate) fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        tail_bytes_max: 1000,
        ..JournalOptions::new(CLUSTER)
    }
}

pub(crate) struct Rig {
    pub(crate) disk: MemoryDisk,
    pub(crate) journal: Journal,
    pub(crate) writer: Writer,
    pub(crate) recovery: JournalRecovery,
    /// The number of records acknowledged as durable.
    pub(crate) acknowledged: Arc<AtomicU64>,
}

impl Rig {
    pub(crate) fn new(seed: u64) -> Self {
        let disk = MemoryDisk::new(seed);
        disk.create_folder(folder()).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        Self::open(disk).unwrap()
    }

    pub(crate) fn open(disk: MemoryDisk) -> Result<Self, OpenError> {
        Self::open_with(disk, options())
    }

    pub(crate) fn open_with(disk: MemoryDisk, options: JournalOptions) -> Result<Self, OpenError> {
        let (journal, writer, recovery) = journal::open(Arc::new(disk.clone()), folder(), options)?;
        let count = journal.newest_tip().map_or(0, |tip| tip.position + 1);
        let acknowledged = Arc::new(AtomicU64::new(count));
        Ok(Self { disk, journal, writer, recovery, acknowledged })
    }

    /// Opens the same disk again, as it is.
    pub(crate) fn reopen(self) -> Result<Self, OpenError> {
        let disk = self.disk.clone();
        drop(self);
        Self::open(disk)
    }

    pub(crate) fn next(&self) -> Position {
        self.journal.newest_tip().map_or(0, |tip| tip.position + 1)
    }

    /// Queues one append of records with these payload sizes.
    pub(crate) fn append(&self, term: u64, sizes: &[usize]) {
        let first = self.next();
        let records: Vec<NewRecord> =
            (first..).zip(sizes).map(|(position, size)| record(position, term, *size)).collect();
        let end = first + u64::try_from(records.len()).unwrap();
        let acknowledged = Arc::clone(&self.acknowledged);
        let done: Completion = Box::new(move |result| {
            if result.is_ok() {
                acknowledged.store(end, Ordering::SeqCst);
            }
        });
        self.journal.append(records, done).unwrap();
    }

    pub(crate) fn truncate_after(&self, last: Option<Position>) {
        let acknowledged = Arc::clone(&self.acknowledged);
        let end = last.map_or(0, |last| last + 1);
        let done: Completion = Box::new(move |result| {
            if result.is_ok() {
                acknowledged.store(end, Ordering::SeqCst);
            }
        });
        self.journal.truncate_after(last, done).unwrap();
    }

    /// Makes everything queued durable.
    pub(crate) fn settle(&mut self) {
        while self.writer.step(usize::MAX) == WriterStep::Worked {}
        assert_eq!(self.journal.poison_reason(), None);
    }

    /// Appends one batch, durable on return.
    pub(crate) fn write(&mut self, term: u64, sizes: &[usize]) {
        self.append(term, sizes);
        self.settle();
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Reads every record, in reads of varying size, and returns their terms.
    pub(crate) fn terms(&self) -> Vec<u64> {
        let mut terms = Vec::new();
        let mut from = 0;
        loop {
            let records = self.journal.read(from, u64::MAX, 700).unwrap();
            if records.is_empty() {
                return terms;
            }
            for held in records {
                let expected = record(held.position, held.term, held.payload.len());
                assert_eq!(held.position, from);
                assert_eq!(held.payload, expected.payload);
                assert_eq!((held.time, held.kind), (expected.time, expected.kind));
                terms.push(held.term);
                from += 1;
            }
        }
    }
}

/// A record whose content is derived from its position, term and size.
pub(crate) fn record(position: Position, term: u64, size: usize) -> NewRecord {
    let byte = u8::try_from((position * 7 + term * 31) % 251).unwrap();
    NewRecord {
        position,
        term,
        time: 1_700_000_000_000_000 + position,
        kind: 1 + u8::try_from(term % 5).unwrap(),
        payload: Bytes::from(vec![byte | 1; size]),
    }
}

pub(crate) fn ignore() -> Completion {
    Box::new(|_| {})
}

pub(crate) fn segment_path(name: &str) -> PathBuf {
    folder().join("journal").join(name)
}

pub(crate) fn contents(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

/// Replaces a file's content, durably.
pub(crate) fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path).or_else(|_| disk.create(path)).unwrap();
    file.set_len(0).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_folder(path.parent().unwrap()).unwrap();
}
