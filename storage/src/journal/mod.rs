//! The journal: the source of truth of a node. Records in order, each linked to the one before.
//!
//! ```text
//!  Journal (handles)                      Writer (one thread, or one task of a simulation)
//!  append ──┐ links computed, readable    step: take the queued jobs, write, ONE fdatasync,
//!  truncate ├─▶ tail in memory ─▶ queue ─▶      then call the completions in queue order
//!  vote  ───┘                                   │
//!  read ◀── tail, or ◀───────────────────────── segments on disk
//! ```
//!
//! Positions start at 0 and have no gaps. The folder `journal/` holds one file per segment, named
//! by its first position in 20 digits: `.open` while it is written or rolled, `.sealing` while its
//! footer is written, `.sealed` after that. `spare` is the next segment, reserved ahead of need.
//! `cut/` keeps the torn bytes that recovery removed.
//!
//! - `format`: the bytes on disk: records, links, marks, segment headers, footers.
//! - `shared`: the state in memory that handles and writer share, and the queue between them.
//! - `writing`: the writer, group commit, reservation, truncation, sealing.
//! - `reading`: records, tips and parts of records, read while the writer writes.
//! - `recovery`: opening after a crash, by the recovery table.
//! - `verification`: reads everything back, on a stopped node or beside the writer.
//! - [`index`]: index files of sealed segments.
//! - `damage`: how damage is reported.
//!
//! Errors: [`OpenError`] stops a start; [`ReadError`] and [`Damage`] name file, offset and
//! position; [`Poisoned`] is final. The journal never purges, never truncates a sealed segment or
//! below the committed position, and never retries a failed write.

pub(crate) mod format;
pub mod index;
pub(crate) mod reading;
pub(crate) mod verification;
pub(crate) mod writing;

mod damage;
mod recovery;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;

pub use damage::{Damage, WalkError};
pub use format::chain::genesis_link;
pub use format::record::{NewRecord, PAYLOAD_BYTES_MAX, Record, Tip};
pub use format::segment::{SegmentInfo, SegmentState};
pub use reading::part::{Part, PartReader};
pub use reading::reader::ReadError;
pub use recovery::{JournalRecovery, OpenError, open};
pub use verification::{Verified, verify};
pub use writing::poison::Poisoned;
pub use writing::seal::SealError;
pub use writing::sync_watch::SyncWatch;
pub use writing::writer::{Writer, WriterStep};

use crate::memory::CopyMemory;
use crate::vote::StoredVote;
use crate::{ClusterId, Position};
use shared::{Shared, Wake, WriterJob};

/// Settings of a journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The cluster's id, hashed into every link.
    pub cluster: ClusterId,
    /// The size in bytes at which a segment is rolled. A larger record gets its own segment.
    pub segment_bytes: u64,
    /// How many bytes of records stay in memory. Records that aren't durable always stay.
    pub tail_bytes_max: usize,
}

impl JournalOptions {
    /// The production settings: segments of 64 MiB, a tail of 32 MiB.
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, segment_bytes: 64 << 20, tail_bytes_max: 32 << 20 }
    }
}

/// Called by the writer, in queue order, when a job is durable, or when the journal is poisoned.
pub type Completion = Box<dyn FnOnce(Result<(), Poisoned>) + Send>;

/// A handle on the journal. Clones are cheap and share all state.
///
/// Effects in memory are visible at once; the [`Writer`] makes them durable later. The queue
/// between them has no bound here: callers bound it. Where a method returns `Err`, its completion
/// is never called.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// Appends records; they are readable when this returns. Fails if the journal is poisoned or
    /// closed. Panics unless the positions continue the journal without a gap.
    pub fn append(&self, records: Vec<NewRecord>, done: Completion) -> Result<(), Poisoned> {
        let mut head = self.shared.lock_head();
        self.shared.lock_memory().check_writable()?;
        let due = head.map_or(0, |tip| tip.position + 1);
        let mut previous = head.map_or_else(|| self.shared.genesis_link(), |tip| tip.link);
        let mut linked = Vec::with_capacity(records.len());
        for (due, record) in (due..).zip(records) {
            assert_eq!(record.position, due, "records are appended without gaps");
            let record = Record::new(record, &previous, &self.shared.options.cluster);
            previous = record.link;
            linked.push(Arc::new(record));
        }
        let mut memory = self.shared.lock_memory();
        memory.check_writable()?;
        for record in &linked {
            memory.tail.push(Arc::clone(record));
        }
        if let Some(newest) = linked.last() {
            *head = Some(newest.tip());
            memory.last = *head;
        }
        self.shared.queue(memory, WriterJob::Append(linked), done);
        Ok(())
    }

    /// Removes every record after `last`, or all if it is `None`. Fails if the journal is poisoned
    /// or closed. Committed records are never removed: below the committed position, or below the
    /// end of the last sealed segment, it fails, removes nothing, and poisons the journal as
    /// damaged.
    pub fn truncate_after(&self, last: Option<Position>, done: Completion) -> Result<(), Poisoned> {
        let mut head = self.shared.lock_head();
        let tip = match last {
            None => None,
            Some(position) => match self.tip_at(position) {
                Ok(Some(tip)) => Some(tip),
                Ok(None) => panic!("truncation after {position}, which isn't in the journal"),
                Err(error) => {
                    let reason = format!("truncation after {position} can't read it: {error}");
                    return Err(self.shared.poison(&reason));
                }
            },
        };
        let mut memory = self.shared.lock_memory();
        memory.check_writable()?;
        if let Some(why) = memory.find_committed_after(last) {
            drop(memory);
            self.shared.mark_damaged();
            return Err(self.shared.poison(&why));
        }
        memory.tail.truncate_after(last);
        memory.durable = memory.durable.min(last);
        memory.truncations += 1;
        memory.cut = Some(last);
        *head = tip;
        memory.last = tip;
        self.shared.queue(memory, WriterJob::Truncate(tip), done);
        Ok(())
    }

    /// Saves the vote, after all jobs queued before and ahead of all queued later. Fails if the
    /// journal is poisoned or closed.
    pub fn save_vote(&self, vote: StoredVote, done: Completion) -> Result<(), Poisoned> {
        let memory = self.shared.lock_memory();
        memory.check_writable()?;
        self.shared.queue(memory, WriterJob::Vote(vote), done);
        Ok(())
    }

    /// Saves what this node remembers, in the order of the queue. `durable`: synced when it's done;
    /// otherwise a crash may lose it. Fails if the journal is poisoned or closed.
    pub fn save_memory(
        &self,
        memory: CopyMemory,
        durable: bool,
        done: Completion,
    ) -> Result<(), Poisoned> {
        let locked = self.shared.lock_memory();
        locked.check_writable()?;
        self.shared.queue(locked, WriterJob::Memory { memory, durable }, done);
        Ok(())
    }

    /// Notes that all records up to `position` are committed. Never decreases. A later mark writes
    /// it to disk.
    pub fn set_committed(&self, position: Position) {
        let mut memory = self.shared.lock_memory();
        memory.committed = memory.committed.max(Some(position));
    }

    /// The newest record, durable or not.
    pub fn newest_tip(&self) -> Option<Tip> {
        self.shared.lock_memory().last
    }

    /// The newest position known to be synced on this node's disk.
    pub fn durable_position(&self) -> Option<Position> {
        self.shared.lock_memory().durable
    }

    /// The newest position known to be committed.
    pub fn committed_position(&self) -> Option<Position> {
        self.shared.lock_memory().committed
    }

    /// All segments on disk, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let memory = self.shared.lock_memory();
        memory.segments.iter().map(|segment| segment.info(&self.shared.folder)).collect()
    }

    /// Whether an unsealed segment begins with the record at this position. Cheap: it is called for
    /// every applied entry.
    pub fn begins_segment(&self, position: Position) -> bool {
        self.shared.lock_memory().begins_segment(position)
    }

    /// The oldest rolled segment.
    pub fn oldest_rolled(&self) -> Option<SegmentInfo> {
        let memory = self.shared.lock_memory();
        let rolled =
            memory.segments.iter().find(|segment| segment.state == SegmentState::Rolled)?;
        Some(rolled.info(&self.shared.folder))
    }

    /// The reason why the journal is poisoned, if it is.
    pub fn poison_reason(&self) -> Option<String> {
        self.shared.lock_memory().poisoned.as_ref().map(|poisoned| poisoned.reason.to_string())
    }

    /// Whether space is missing for the next segment, the rest of the open one, or a footer: accept
    /// no new commands then. Queued appends still fit the rest of the open segment, and votes need
    /// no new space.
    pub fn is_disk_full(&self) -> bool {
        self.shared.lacks_any_space()
    }

    /// A number that grows with every write, sync and finished job; `None` if everything is
    /// durable, or while the writer waits for something other than the disk. If the number stays
    /// the same for long, the disk hangs. The caller measures the time.
    pub fn pending_progress(&self) -> Option<u64> {
        self.shared.pending_progress()
    }

    /// The bytes of all segments that aren't sealed yet. Until they are, the ledger's memory and
    /// the next start's replay grow with them.
    pub fn unsealed_bytes(&self) -> u64 {
        let memory = self.shared.lock_memory();
        let unsealed =
            memory.segments.iter().rev().take_while(|one| one.state != SegmentState::Sealed);
        unsealed.map(|one| one.end).sum()
    }

    /// Sets the function that is called whenever a job is queued. [`Writer::run`] doesn't need it.
    pub fn set_wake(&self, wake: Wake) {
        let mut slot = self.shared.wake.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = Some(wake);
    }

    /// Reports every sync to `watch` from now on. Panics if a watch is set already.
    pub fn watch_syncs(&self, watch: Arc<dyn SyncWatch>) {
        assert!(self.shared.sync_watch.set(watch).is_ok(), "there is at most one watch of syncs");
    }

    /// Closes the journal to new jobs; [`Writer::run`] finishes the queued ones and returns.
    pub fn close(&self) {
        self.shared.lock_memory().closed = true;
        self.shared.notify();
    }

    /// The folder of the segments and their index files.
    pub fn folder(&self) -> PathBuf {
        self.shared.folder.clone()
    }
}
