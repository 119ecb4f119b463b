//! What the handles and the writer share: the journal as memory sees it, and the queue between them.
//!
//! Memory runs ahead of the disk. A record is readable from the tail as soon as it was appended; the
//! writer makes it durable later, in order. Two locks, always taken in this order: `head`, held while
//! links are computed, so that appends stay in sequence; `memory`, held for moments only.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::poison::Poisoned;
use super::record::{Record, Tip};
use super::segment::{Segment, State};
use super::tail::Tail;
use super::{Completion, Options, SyncWatch, chain};
use crate::disk::{Disk, bytes_u64};
use crate::vote::Vote;
use crate::{Link, Position};

pub(super) type Wake = Box<dyn Fn() + Send + Sync>;

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    /// The folder `journal/`.
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    head: Mutex<Option<Tip>>,
    memory: Mutex<Memory>,
    /// Told whenever a job is queued, for a writer on its own thread.
    pub(super) queued: Condvar,
    pub(super) wake: RwLock<Option<Wake>>,
    pub(super) sync_watch: OnceLock<Arc<dyn SyncWatch>>,
    lacking: AtomicU8,
    damaged: AtomicBool,
    /// How many jobs were queued, and how many of them are done and told.
    asked: AtomicU64,
    told: AtomicU64,
}

pub(super) struct Memory {
    pub(super) tail: Tail,
    pub(super) last: Option<Tip>,
    pub(super) durable: Option<Position>,
    pub(super) committed: Option<Position>,
    /// Counts truncations: what was queued before one says nothing about what came after.
    pub(super) truncations: u64,
    /// The journal is to end here, and the writer hasn't cut the files yet: segments behind it are none any more.
    pub(super) cut: Option<Option<Position>>,
    pub(super) jobs: VecDeque<Queued>,
    /// Where a segment begins that has no name yet.
    pub(super) rolling: Option<Position>,
    /// All segments, in order; the last one is open.
    pub(super) segments: Vec<Segment>,
    pub(super) poisoned: Option<Poisoned>,
    pub(super) closed: bool,
}

/// What a full disk leaves no room for. Each comes back by itself.
#[derive(Clone, Copy)]
pub(super) enum Room {
    /// The next segment.
    Next = 1,
    /// The rest of the open segment, after a truncation gave its room away.
    Rest = 2,
    /// The footer of a rolled segment.
    Footer = 4,
}

/// One thing for the writer to do.
pub(super) enum Job {
    Append(Vec<Arc<Record>>),
    Truncate(Option<Tip>),
    Vote(Vote),
}

pub(super) struct Queued {
    pub(super) job: Job,
    /// The number of truncations asked for when it was queued, its own included.
    pub(super) truncations: u64,
    pub(super) done: Completion,
}

impl Shared {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        options: Options,
        memory: Memory,
    ) -> Self {
        Self {
            disk,
            folder,
            options,
            head: Mutex::new(memory.last),
            memory: Mutex::new(memory),
            queued: Condvar::new(),
            wake: RwLock::new(None),
            sync_watch: OnceLock::new(),
            lacking: AtomicU8::new(0),
            damaged: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    /// Notes whether there's room for something.
    pub(super) fn has_room(&self, room: Room, has: bool) {
        let bit = room as u8;
        if has {
            self.lacking.fetch_and(!bit, Ordering::Relaxed);
        } else {
            self.lacking.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(super) fn lacks(&self, room: Room) -> bool {
        self.lacking.load(Ordering::Relaxed) & room as u8 != 0
    }

    pub(super) fn lacks_any_room(&self) -> bool {
        self.lacking.load(Ordering::Relaxed) != 0
    }

    /// Remembers that something was read that isn't what was written.
    pub(super) fn note_damage(&self) {
        self.damaged.store(true, Ordering::Release);
    }

    pub(super) fn found_damage(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// The newest record's tip, locked: whoever holds it decides what comes next.
    pub(super) fn head(&self) -> MutexGuard<'_, Option<Tip>> {
        self.head.lock().expect("a panic while appending ends the node")
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("a panic while appending ends the node")
    }

    pub(super) fn genesis(&self) -> Link {
        chain::genesis(&self.options.cluster)
    }

    /// Queues a job while `memory` is held, so that the queue has the order of the effects.
    pub(super) fn queue(&self, mut memory: MutexGuard<'_, Memory>, job: Job, done: Completion) {
        let truncations = memory.truncations;
        memory.jobs.push_back(Queued { job, truncations, done });
        self.asked.fetch_add(1, Ordering::Relaxed);
        drop(memory);
        self.notify();
    }

    /// Jobs were done, and whoever asked was told.
    pub(super) fn told(&self, jobs: usize) {
        self.told.fetch_add(bytes_u64(jobs), Ordering::Relaxed);
    }

    /// The number of the oldest job that isn't done.
    pub(super) fn oldest_undone(&self) -> Option<u64> {
        // In this order: what is queued in between isn't taken for undone.
        let asked = self.asked.load(Ordering::Relaxed);
        let told = self.told.load(Ordering::Relaxed);
        (told < asked).then_some(told)
    }

    pub(super) fn notify(&self) {
        self.queued.notify_one();
        let wake = self.wake.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(wake) = &*wake {
            wake();
        }
    }

    /// Stops the journal. The first reason stays.
    pub(super) fn poison(&self, reason: &str) -> Poisoned {
        let mut memory = self.memory();
        let poisoned = memory.poisoned.get_or_insert_with(|| Poisoned::new(reason)).clone();
        drop(memory);
        self.notify();
        poisoned
    }
}

impl Memory {
    pub(super) fn writable(&self) -> Result<(), Poisoned> {
        if let Some(poisoned) = &self.poisoned {
            return Err(poisoned.clone());
        }
        if self.closed {
            return Err(Poisoned::new("it was closed"));
        }
        Ok(())
    }

    /// The segment that holds a position, if it is on disk.
    pub(super) fn segment_of(&self, position: Position) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.first <= position);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (position - segment.first < segment.count).then_some(segment)
    }

    /// Whether a segment that isn't sealed begins at this position. Those are few and the newest. One counts as soon as it's
    /// begun: its first record may be applied before it's on disk here.
    pub(super) fn begins_segment(&self, position: Position) -> bool {
        if self.cut.is_some_and(|last| Some(position) > last) {
            return false;
        }
        let unsealed =
            self.segments.iter().rev().take_while(|segment| segment.state != State::Sealed);
        self.rolling == Some(position)
            || unsealed.into_iter().any(|segment| segment.first == position)
    }

    pub(super) fn sealed_last(&self) -> Option<Position> {
        let sealed = self.segments.iter().rev().find(|segment| segment.state == State::Sealed);
        sealed.and_then(Segment::last)
    }
}
