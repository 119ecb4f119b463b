//! State that the handles and the writer share: the journal as seen in memory, and the queue of
//! jobs.
//!
//! Memory is ahead of the disk. A record is readable from the tail as soon as it is appended; the
//! writer makes records durable later, in order. There are two locks, always taken in this order:
//! `head`, held while links are computed, so that appends stay in sequence; `memory`, held briefly.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::format::record::{Record, Tip};
use super::format::segment::{Segment, SegmentState};
use super::reading::tail::Tail;
use super::writing::poison::Poisoned;
use super::{Completion, JournalOptions, SyncWatch, format::chain};
use crate::disk::{Disk, Folder, bytes_u64};
use crate::memory::CopyMemory;
use crate::vote::StoredVote;
use crate::{Link, Position};

pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    /// The folder `journal/`.
    pub(crate) folder: PathBuf,
    /// The same folder, open: its names are made durable without a free descriptor.
    pub(crate) names: Arc<dyn Folder>,
    pub(crate) options: JournalOptions,
    head: Mutex<Option<Tip>>,
    memory: Mutex<Memory>,
    /// Notified whenever a job is queued, for a writer on its own thread.
    pub(crate) queued: Condvar,
    pub(crate) wake: RwLock<Option<Wake>>,
    pub(crate) sync_watch: OnceLock<Arc<dyn SyncWatch>>,
    lacking: AtomicU8,
    damaged: AtomicBool,
    /// The number of jobs queued, and of jobs finished with their completions called.
    jobs_queued: AtomicU64,
    jobs_finished: AtomicU64,
    /// Counts what the writer gets done: writes, syncs, finished jobs.
    progress: AtomicU64,
    /// Whether the writer waits for something other than the disk: see `WriterStep::Waiting`.
    waiting: AtomicBool,
}

pub(crate) struct Memory {
    pub(crate) tail: Tail,
    pub(crate) last: Option<Tip>,
    pub(crate) durable: Option<Position>,
    pub(crate) committed: Option<Position>,
    /// Counts truncations: jobs queued before a truncation don't determine what is durable after
    /// it.
    pub(crate) truncations: u64,
    /// The last position that a queued truncation keeps, until the writer has cut the files.
    /// Segments after it no longer count.
    pub(crate) cut: Option<Option<Position>>,
    pub(crate) jobs: VecDeque<Queued>,
    /// The first position of a new segment whose file isn't renamed from `spare` yet.
    pub(crate) rolling: Option<Position>,
    /// All segments, in order; the last one is open.
    pub(crate) segments: Vec<Segment>,
    /// The last record of the newest sealed segment: a truncation that keeps just it must not need
    /// a free descriptor.
    pub(crate) sealed_tip: Option<Tip>,
    pub(crate) poisoned: Option<Poisoned>,
    pub(crate) closed: bool,
}

/// What a full disk has no space for. Each need is cleared when space is found again.
#[derive(Clone, Copy)]
pub(crate) enum SpaceNeed {
    /// The next segment.
    Next = 1,
    /// The rest of the open segment, whose reservation a truncation released.
    Rest = 2,
    /// The footer of a rolled segment.
    Footer = 4,
}

/// One job of the writer.
pub(crate) enum WriterJob {
    Append(Vec<Arc<Record>>),
    Truncate(Option<Tip>),
    Vote(StoredVote),
    Memory { memory: CopyMemory, durable: bool },
}

pub(crate) struct Queued {
    pub(crate) job: WriterJob,
    /// The number of truncations queued when this job was queued, its own included.
    pub(crate) truncations: u64,
    pub(crate) done: Completion,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        names: Arc<dyn Folder>,
        options: JournalOptions,
        memory: Memory,
    ) -> Self {
        Self {
            disk,
            folder,
            names,
            options,
            head: Mutex::new(memory.last),
            memory: Mutex::new(memory),
            queued: Condvar::new(),
            wake: RwLock::new(None),
            sync_watch: OnceLock::new(),
            lacking: AtomicU8::new(0),
            damaged: AtomicBool::new(false),
            jobs_queued: AtomicU64::new(0),
            jobs_finished: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
        }
    }

    /// Records whether there is space for a need.
    pub(crate) fn set_space(&self, room: SpaceNeed, has: bool) {
        let bit = room as u8;
        if has {
            self.lacking.fetch_and(!bit, Ordering::Relaxed);
        } else {
            self.lacking.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn lacks_space(&self, room: SpaceNeed) -> bool {
        self.lacking.load(Ordering::Relaxed) & room as u8 != 0
    }

    pub(crate) fn lacks_any_space(&self) -> bool {
        self.lacking.load(Ordering::Relaxed) != 0
    }

    /// Records that damage was read.
    pub(crate) fn mark_damaged(&self) {
        self.damaged.store(true, Ordering::Release);
    }

    pub(crate) fn damage_found(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// The newest record's tip, locked: the holder of the lock decides the next record.
    pub(crate) fn lock_head(&self) -> MutexGuard<'_, Option<Tip>> {
        self.head.lock().expect("a panic while appending ends the node")
    }

    pub(crate) fn lock_memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("a panic while appending ends the node")
    }

    pub(crate) fn genesis_link(&self) -> Link {
        chain::genesis_link(&self.options.cluster)
    }

    /// Queues a job while `memory` is locked, so that the queue has the order of the effects in
    /// memory.
    pub(crate) fn queue(
        &self,
        mut memory: MutexGuard<'_, Memory>,
        job: WriterJob,
        done: Completion,
    ) {
        let truncations = memory.truncations;
        memory.jobs.push_back(Queued { job, truncations, done });
        self.jobs_queued.fetch_add(1, Ordering::Relaxed);
        drop(memory);
        self.notify();
    }

    /// Counts jobs as finished, after their completions were called.
    pub(crate) fn count_finished(&self, jobs: usize) {
        self.jobs_finished.fetch_add(bytes_u64(jobs), Ordering::Relaxed);
        self.count_progress();
    }

    /// Counts a write or a sync that the disk has performed.
    pub(crate) fn count_progress(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// What the writer has got done so far, while jobs are unfinished and it waits for the disk.
    pub(crate) fn pending_progress(&self) -> Option<u64> {
        // Loaded in this order: a job queued in between doesn't count as unfinished.
        let asked = self.jobs_queued.load(Ordering::Relaxed);
        let told = self.jobs_finished.load(Ordering::Relaxed);
        let waiting = self.waiting.load(Ordering::Relaxed);
        (told < asked && !waiting).then(|| self.progress.load(Ordering::Relaxed))
    }

    /// Puts jobs back to the front of the queue, in their order.
    pub(crate) fn put_back(&self, jobs: Vec<Queued>) {
        let mut memory = self.lock_memory();
        for job in jobs.into_iter().rev() {
            memory.jobs.push_front(job);
        }
    }

    pub(crate) fn notify(&self) {
        self.queued.notify_one();
        let wake = self.wake.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = &*wake {
            wake();
        }
    }

    /// Poisons the journal. The first reason is kept.
    pub(crate) fn poison(&self, reason: &str) -> Poisoned {
        let mut memory = self.lock_memory();
        let poisoned = memory.poisoned.get_or_insert_with(|| Poisoned::new(reason)).clone();
        drop(memory);
        self.notify();
        poisoned
    }
}

impl Memory {
    pub(crate) fn check_writable(&self) -> Result<(), Poisoned> {
        if let Some(poisoned) = &self.poisoned {
            return Err(poisoned.clone());
        }
        if self.closed {
            return Err(Poisoned::new("it was closed"));
        }
        Ok(())
    }

    /// The segment that holds a position, if it is on disk.
    pub(crate) fn segment_of(&self, position: Position) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (position - segment.first < segment.count).then_some(segment)
    }

    /// Whether an unsealed segment begins at this position. Unsealed segments are few and the
    /// newest. A new segment counts as soon as it is begun: its first record may be applied before
    /// it is on this node's disk.
    pub(crate) fn begins_segment(&self, position: Position) -> bool {
        if self.cut.is_some_and(|last| Some(position) > last) {
            return false;
        }
        let unsealed =
            self.segments.iter().rev().take_while(|segment| segment.state != SegmentState::Sealed);
        self.rolling == Some(position)
            || unsealed.into_iter().any(|segment| segment.first == position)
    }

    /// Why nothing after `last` may be removed: some of it is committed.
    pub(crate) fn find_committed_after(&self, last: Option<Position>) -> Option<String> {
        let kept = self.committed.max(self.sealed_last())?;
        if last >= Some(kept) {
            return None;
        }
        let first = last.map_or(0, |last| last + 1);
        Some(format!(
            "the primary has other records at positions {first} to {kept}, which this node knows to be \
             committed: both histories were acknowledged, and nothing was removed here"
        ))
    }

    pub(crate) fn sealed_last(&self) -> Option<Position> {
        let sealed =
            self.segments.iter().rev().find(|segment| segment.state == SegmentState::Sealed);
        sealed.and_then(Segment::last)
    }
}
