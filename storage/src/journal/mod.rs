//! The journal: the truth of a node. Records in order, each linked to the one before, kept whole.
//!
//! ```text
//!  Journal (handles)                      Writer (one thread, or one task of a simulation)
//!  append ──┐ links computed, readable    step: takes what waits, writes it, ONE fdatasync,
//!  truncate ├─▶ tail in memory ─▶ queue ─▶      then tells everyone in the order they asked
//!  vote  ───┘                                   │
//!  read ◀── tail, or ◀───────────────────────── segments on disk
//! ```
//!
//! Positions start at 0 and have no gaps. A folder `journal/` holds one file per segment, named by its
//! first position in 20 digits: `.open` while it is written or waits, `.sealing` while its footer is
//! written, `.sealed` for ever after. `spare` is the next segment, reserved ahead of need; `cut/` keeps torn bytes that recovery
//! cut off.
//!
//! Errors: [`OpenError`] refuses to start, [`ReadError`] and [`Damage`] name file, offset and position,
//! [`Poisoned`] is final. It never purges, never truncates a sealed segment or below the committed
//! position, and never tries a failed write again.

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

pub use damage::Damage;
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

use crate::vote::StoredVote;
use crate::{ClusterId, Position};
use shared::{Shared, Wake, WriterJob};

/// How a journal is kept.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Hashed into every link.
    pub cluster: ClusterId,
    /// The size at which a segment is rolled. A larger record gets a segment of its own.
    pub segment_bytes: u64,
    /// How much of durable records stays in memory.
    pub tail_bytes_max: usize,
}

impl JournalOptions {
    /// What production uses: segments of 64 MiB, 32 MiB of tail.
    pub fn new(cluster: ClusterId) -> Self {
        Self { cluster, segment_bytes: 64 << 20, tail_bytes_max: 32 << 20 }
    }
}

/// Called on the writer's thread when the work is durable, in the order it was asked for.
pub type Completion = Box<dyn FnOnce(Result<(), Poisoned>) + Send>;

/// A handle on the journal. Clones are cheap and see the same.
///
/// Effects on memory are seen at once, effects on disk when the [`Writer`] gets there. The queue
/// between them is bounded by whoever appends. Where a method answers `Err`, its completion is never
/// called.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

impl Journal {
    /// Appends records, which can be read when this returns. Panics unless positions go on by one.
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

    /// Forgets every record after `last`, or all. Panics below the committed position and below the
    /// end of the last sealed segment: what was decided is never undone.
    pub fn truncate_after(&self, last: Option<Position>, done: Completion) -> Result<(), Poisoned> {
        let mut head = self.shared.lock_head();
        let tip = match last {
            None => None,
            Some(position) => match self.tip_at(position) {
                Ok(Some(tip)) => Some(tip),
                Ok(None) => panic!("truncation after {position}, which is not in the journal"),
                Err(error) => {
                    let reason = format!("truncation after {position} cannot read it: {error}");
                    return Err(self.shared.poison(&reason));
                }
            },
        };
        let mut memory = self.shared.lock_memory();
        memory.check_writable()?;
        let (committed, sealed) = (memory.committed, memory.sealed_last());
        assert!(last >= committed, "truncation after {last:?} with {committed:?} committed");
        assert!(last >= sealed, "truncation after {last:?} with {sealed:?} sealed");
        memory.tail.truncate_after(last);
        memory.durable = memory.durable.min(last);
        memory.truncations += 1;
        memory.cut = Some(last);
        *head = tip;
        memory.last = tip;
        self.shared.queue(memory, WriterJob::Truncate(tip), done);
        Ok(())
    }

    /// Saves the vote, after everything queued before and ahead of everything queued later.
    pub fn save_vote(&self, vote: StoredVote, done: Completion) -> Result<(), Poisoned> {
        let memory = self.shared.lock_memory();
        memory.check_writable()?;
        self.shared.queue(memory, WriterJob::Vote(vote), done);
        Ok(())
    }

    /// Notes that all up to `position` is committed. Written with a later mark; never goes back.
    pub fn set_committed(&self, position: Position) {
        let mut memory = self.shared.lock_memory();
        memory.committed = memory.committed.max(Some(position));
    }

    /// The newest record, durable or not.
    pub fn newest_tip(&self) -> Option<Tip> {
        self.shared.lock_memory().last
    }

    /// The newest position known to be synced on this disk.
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

    /// Whether a segment that isn't sealed begins with the record at this position. Cheap: asked for
    /// every entry that is applied.
    pub fn begins_segment(&self, position: Position) -> bool {
        self.shared.lock_memory().begins_segment(position)
    }

    /// The oldest segment that is full and not sealed.
    pub fn oldest_rolled(&self) -> Option<SegmentInfo> {
        let memory = self.shared.lock_memory();
        let rolled =
            memory.segments.iter().find(|segment| segment.state == SegmentState::Rolled)?;
        Some(rolled.info(&self.shared.folder))
    }

    /// Why the journal has stopped, if it has.
    pub fn poison_reason(&self) -> Option<String> {
        self.shared.lock_memory().poisoned.as_ref().map(|poisoned| poisoned.reason.to_string())
    }

    /// Whether there was no room for the next segment, the rest of the open one, or a footer: take no new commands. What is under way
    /// still has the rest of the open segment, and votes have room of their own.
    pub fn is_disk_full(&self) -> bool {
        self.shared.lacks_any_space()
    }

    /// The number of the oldest append, truncation or vote that isn't durable yet; `None` when all are. A number that
    /// stays while time passes is a disk that hangs: time is the caller's.
    pub fn oldest_pending(&self) -> Option<u64> {
        self.shared.oldest_pending()
    }

    /// What to call whenever a job is queued. [`Writer::run`] needs none.
    pub fn set_wake(&self, wake: Wake) {
        let mut slot = self.shared.wake.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = Some(wake);
    }

    /// Tells of every sync from now on. Panics when somebody is told already.
    pub fn watch_syncs(&self, watch: Arc<dyn SyncWatch>) {
        assert!(self.shared.sync_watch.set(watch).is_ok(), "syncs are watched once");
    }

    /// Takes no more work; [`Writer::run`] finishes what is queued and returns.
    pub fn close(&self) {
        self.shared.lock_memory().closed = true;
        self.shared.notify();
    }

    /// The folder of the segments and of what is derived from them.
    pub fn folder(&self) -> PathBuf {
        self.shared.folder.clone()
    }
}
