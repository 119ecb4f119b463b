//! The writer: makes queued jobs durable, in order, with one sync for all waiting appends (group
//! commit). A thread drives it in production, a task in the simulation.
//!
//! Appends that wait together are one batch: a mark, the records, one fdatasync. A vote or a
//! truncation between them is a separate turn, so nothing overtakes. A turn is bounded in bytes:
//! its completions come soon on a slow disk, too. Completions are called only after the sync.
//!
//! The first failure poisons the journal; nothing is retried. One kind of failure isn't one: a new
//! segment that can't be made because no descriptor or memory is free. Nothing was written then, so
//! the jobs stay queued until it can ([`WriterStep::Waiting`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::active::ActiveSegment;
use super::poison::Poisoned;
use crate::disk::{File, add_context, is_transient};
use crate::journal::format::mark::Mark;
use crate::journal::format::record::{Record, Tip};
use crate::journal::format::segment::{
    FRAMES_AT, Segment, SegmentHeader, SegmentState, Suffix, file_name,
};
use crate::journal::shared::{Queued, Shared, SpaceNeed, WriterJob};
use crate::memory::MemoryFiles;
use crate::vote::VoteFiles;
use crate::{Link, Position};

/// The file name of the segment reserved ahead of need.
pub(crate) const SPARE: &str = "spare";
/// After this much idle time the newest records get a mark of their own.
const QUIET: Duration = Duration::from_millis(20);
/// The interval at which an idle writer retries a reservation on a full disk.
const FULL_RETRY: Duration = Duration::from_millis(500);
/// The most jobs that one step of the thread takes.
const JOBS_MAX: usize = 4096;
/// A step takes no further job once the records that it has taken have this many bytes. The last
/// job may exceed it.
const STEP_BYTES_MAX: u64 = 4 << 20;
/// The interval at which a waiting writer tries to make a new segment.
const WAIT_RETRY: Duration = Duration::from_millis(100);

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterStep {
    /// Jobs were made durable and their completions called.
    Worked,
    /// Nothing was queued.
    Idle,
    /// A new segment is needed, and the process or the machine has no descriptor or memory for it
    /// at the moment. What came before is durable; the rest is queued. Call again after a pause.
    Waiting,
    /// The journal is poisoned; all waiting completions were called with the reason.
    Poisoned,
}

/// The single writer. Owns the open segment, the spare and the vote files.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) active: ActiveSegment,
    /// Whether the active segment's file is still named `spare`.
    is_unnamed: bool,
    pub(crate) spare: Option<Arc<dyn File>>,
    pub(crate) votes: VoteFiles,
    memories: MemoryFiles,
    /// The newest record on disk, synced or about to be.
    newest: Option<Tip>,
    /// The newest synced position.
    pub(crate) synced: Option<Position>,
    /// The content of the last mark.
    marked: Mark,
    /// While the disk is full: the end of the active segment from which a reservation is retried.
    pub(crate) ask_again_at: u64,
    /// Whether the log says already that no segment can be made.
    pub(crate) logged_waiting: bool,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        active: ActiveSegment,
        votes: VoteFiles,
        memories: MemoryFiles,
    ) -> Self {
        let memory = shared.lock_memory();
        let (newest, synced, committed) = (memory.last, memory.durable, memory.committed);
        drop(memory);
        let marked = build_mark(synced, committed);
        Self {
            shared,
            active,
            is_unnamed: false,
            spare: None,
            votes,
            memories,
            newest,
            synced,
            marked,
            ask_again_at: 0,
            logged_waiting: false,
        }
    }

    /// Performs at most `jobs_max` queued jobs and calls their completions. Blocks on the disk.
    pub fn step(&mut self, jobs_max: usize) -> WriterStep {
        let mut waiting = match self.take_jobs(jobs_max) {
            Ok(waiting) if waiting.is_empty() => return WriterStep::Idle,
            Ok(waiting) => waiting,
            Err(poisoned) => return self.refuse_all(Vec::new(), &poisoned),
        };
        while !waiting.is_empty() {
            let appends =
                waiting.iter().take_while(|next| matches!(next.job, WriterJob::Append(_)));
            let turn = appends.count().max(1);
            let mut later = waiting.split_off(turn);
            let rest = match self.perform(&waiting) {
                Ok(written) => split_written(&mut waiting, written),
                Err(error) => {
                    let poisoned = self.shared.poison(&error.to_string());
                    waiting.extend(later);
                    return self.refuse_all(waiting, &poisoned);
                }
            };
            let done = waiting.len();
            for queued in waiting {
                (queued.done)(Ok(()));
            }
            self.shared.count_finished(done);
            if !rest.is_empty() {
                later.splice(0..0, rest);
                self.shared.put_back(later);
                return WriterStep::Waiting;
            }
            waiting = later;
        }
        if self.should_reserve()
            && let Err(error) = self.reserve()
        {
            let poisoned = self.shared.poison(&format!("reserving the next segment: {error}"));
            return self.refuse_all(Vec::new(), &poisoned);
        }
        WriterStep::Worked
    }

    /// Called while idle: covers the newest records with a mark, without a sync, and reserves the
    /// next segment.
    pub fn handle_idle(&mut self) {
        if self.shared.lock_memory().poisoned.is_some() {
            return;
        }
        let result = self.reserve().and_then(|()| self.write_idle_mark());
        if let Err(error) = result {
            self.shared.poison(&format!("writing while idle: {error}"));
        }
    }

    /// The loop of the writer's thread. Returns when the journal is poisoned, or closed with no
    /// jobs left.
    pub fn run(mut self) {
        loop {
            match self.step(JOBS_MAX) {
                WriterStep::Worked => continue,
                WriterStep::Poisoned => return,
                WriterStep::Waiting if self.shared.lock_memory().closed => {
                    self.shared.poison("it was closed while no new segment could be made");
                    continue;
                }
                WriterStep::Waiting => {
                    std::thread::sleep(WAIT_RETRY);
                    continue;
                }
                WriterStep::Idle => {}
            }
            if !self.wait_for_jobs(Some(QUIET)) {
                continue;
            }
            self.handle_idle();
            let memory = self.shared.lock_memory();
            let closed = memory.closed && memory.jobs.is_empty();
            drop(memory);
            if closed {
                return;
            }
            let full = self.shared.lacks_any_space();
            self.wait_for_jobs(full.then_some(FULL_RETRY));
        }
    }

    /// Waits for jobs, or until closed or poisoned. Returns true if `at_most` passed without a job,
    /// or if the journal is closed and none is left.
    fn wait_for_jobs(&self, at_most: Option<Duration>) -> bool {
        let mut memory = self.shared.lock_memory();
        loop {
            if !memory.jobs.is_empty() || memory.poisoned.is_some() {
                return false;
            }
            if memory.closed {
                return true;
            }
            let Some(at_most) = at_most else {
                memory = self.shared.queued.wait(memory).expect("no holder of the lock panics");
                continue;
            };
            let (woken, timeout) = self
                .shared
                .queued
                .wait_timeout(memory, at_most)
                .expect("no holder of the lock panics");
            memory = woken;
            if timeout.timed_out() {
                return memory.jobs.is_empty() && memory.poisoned.is_none();
            }
        }
    }

    fn take_jobs(&self, jobs_max: usize) -> Result<Vec<Queued>, Poisoned> {
        let mut memory = self.shared.lock_memory();
        if let Some(poisoned) = &memory.poisoned {
            return Err(poisoned.clone());
        }
        let mut bytes = 0;
        let fitting = memory.jobs.iter().take(jobs_max).take_while(|queued| {
            let fits = bytes < STEP_BYTES_MAX;
            bytes += queued.job.records().iter().map(|record| record.frame_bytes()).sum::<u64>();
            fits
        });
        let count = fitting.count();
        Ok(memory.jobs.drain(..count).collect())
    }

    fn refuse_all(&self, waiting: Vec<Queued>, poisoned: &Poisoned) -> WriterStep {
        let queued = std::mem::take(&mut self.shared.lock_memory().jobs);
        for refused in waiting.into_iter().chain(queued) {
            (refused.done)(Err(poisoned.clone()));
        }
        WriterStep::Poisoned
    }

    /// Performs one turn: any number of appends, or one job of another kind.
    fn perform(&mut self, turn: &[Queued]) -> io::Result<WrittenTurn> {
        match &turn[0].job {
            WriterJob::Append(_) => {
                return self.append(turn).map_err(|error| add_context("appending", error));
            }
            WriterJob::Truncate(last) => {
                self.truncate(*last).map_err(|error| add_context("truncating", error))?;
                self.newest = *last;
                self.synced = last.map(|tip| tip.position);
                self.marked = build_mark(None, None);
                self.publish_durable(turn[0].truncations);
            }
            WriterJob::Vote(vote) => {
                self.votes.save(*vote).map_err(|error| add_context("saving the vote", error))?;
            }
            WriterJob::Memory { memory, durable } => {
                let saved = self.memories.save(memory, *durable);
                saved.map_err(|error| add_context("saving what is remembered", error))?;
            }
        }
        Ok(WrittenTurn::Whole)
    }

    fn append(&mut self, turn: &[Queued]) -> io::Result<WrittenTurn> {
        let truncations = turn[0].truncations;
        let committed = self.shared.lock_memory().committed;
        let segment_bytes = self.shared.options.segment_bytes;
        let mut is_marked = false;
        for record in turn.iter().flat_map(|queued| queued.job.records()) {
            if !self.active.fits(record, segment_bytes) {
                if is_marked {
                    self.sync(truncations)?;
                }
                if !self.roll(record.position)? {
                    return Ok(WrittenTurn::Before(record.position));
                }
                is_marked = false;
            }
            if !is_marked {
                self.marked = build_mark(self.synced, committed);
                self.active.push_mark(self.marked);
                is_marked = true;
            }
            if self.active.push_record(record)? {
                self.shared.count_progress();
            }
            self.newest = Some(record.tip());
        }
        if is_marked {
            self.sync(truncations)?;
        }
        Ok(WrittenTurn::Whole)
    }

    /// Makes the batch durable, renames its segment if it is new, and publishes the result.
    fn sync(&mut self, truncations: u64) -> io::Result<()> {
        self.sync_active()?;
        if std::mem::take(&mut self.is_unnamed) {
            let folder = &self.shared.folder;
            let first = self.active.first;
            let name = file_name(first, Suffix::Open);
            self.shared.disk.rename(&folder.join(SPARE), &folder.join(name))?;
            self.shared.names.sync()?;
            self.votes.save_newest_segment(first)?;
            self.publish_new_segment();
        }
        self.synced = self.newest.map(|tip| tip.position);
        self.publish_durable(truncations);
        Ok(())
    }

    /// The one fdatasync for all waiting appends.
    fn sync_active(&mut self) -> io::Result<()> {
        self.active.flush()?;
        self.shared.count_progress();
        let watch = self.shared.sync_watch.get();
        if let Some(watch) = watch {
            watch.sync_begins();
        }
        self.active.sync()?;
        if let Some(watch) = watch {
            watch.sync_ends();
        }
        self.shared.count_progress();
        Ok(())
    }

    /// Begins a new segment in the reserved file. The old segment has no unsynced bytes left.
    /// Returns false, with nothing changed, if there is no reserved file and none can be made now.
    fn roll(&mut self, first: Position) -> io::Result<bool> {
        if self.active.has_unsynced_mark {
            self.sync_active()?;
        }
        if self.spare.is_none() && !self.reserve_now()? {
            return Ok(false);
        }
        self.shared.set_waiting(false);
        let file = self.spare.take().expect("reserved above");
        let previous: Link =
            self.newest.map_or_else(|| self.shared.genesis_link(), |newest| newest.link);
        let header = SegmentHeader { cluster: self.shared.options.cluster, first, previous };
        let next = ActiveSegment::begin(file, &header);
        self.active = next;
        self.is_unnamed = true;
        self.ask_again_at = 0;
        self.shared.lock_memory().rolling = Some(first);
        self.shared.set_space(SpaceNeed::Rest, true);
        Ok(true)
    }

    /// Reserves the next segment, which is needed at once. Returns false if it can't be made now.
    fn reserve_now(&mut self) -> io::Result<bool> {
        let reserved = self.reserve_file();
        let waits = matches!(&reserved, Err(error) if is_transient(error));
        self.shared.set_waiting(waits);
        self.shared.set_space(SpaceNeed::Next, !waits);
        match reserved {
            Ok(file) => self.spare = Some(file),
            Err(error) if waits => self.log_waiting(&error),
            Err(error) => return Err(error),
        }
        Ok(!waits)
    }

    fn publish_new_segment(&self) {
        let mut memory = self.shared.lock_memory();
        memory.rolling = None;
        let segment = memory.segments.last_mut().expect("there is always an open segment");
        segment.state = SegmentState::Rolled;
        memory.segments.push(Segment {
            first: self.active.first,
            count: 0,
            end: FRAMES_AT,
            bytes: FRAMES_AT,
            state: SegmentState::Open,
            is_sealing: false,
            offsets: Vec::new(),
            file: Some(Arc::clone(&self.active.file)),
        });
    }

    /// Publishes the durable position to memory, unless a truncation queued meanwhile makes it out
    /// of date.
    fn publish_durable(&mut self, truncations: u64) {
        let mut memory = self.shared.lock_memory();
        let segment = memory.segments.last_mut().expect("there is always an open segment");
        segment.offsets.append(&mut self.active.offsets);
        segment.count = self.active.count;
        segment.end = self.active.end;
        segment.bytes = self.active.end;
        if memory.truncations != truncations {
            return;
        }
        memory.cut = None;
        memory.durable = self.synced;
        let evicted = memory.tail.evict(self.synced);
        drop(memory);
        drop(evicted);
    }

    fn write_idle_mark(&mut self) -> io::Result<()> {
        let committed = {
            let memory = self.shared.lock_memory();
            if !memory.jobs.is_empty() {
                // The committed position may refer to records that replace, after a queued
                // truncation, the ones on disk.
                return Ok(());
            }
            memory.committed
        };
        let mark = build_mark(self.synced, committed);
        let room = self.active.has_room_for_a_mark(self.shared.options.segment_bytes)
            && !self.shared.lacks_space(SpaceNeed::Rest);
        if mark == self.marked || self.active.count == 0 || !room {
            return Ok(());
        }
        self.marked = mark;
        self.active.push_mark(mark);
        self.active.flush()?;
        self.active.has_unsynced_mark = true;
        let mut memory = self.shared.lock_memory();
        let segment = memory.segments.last_mut().expect("there is always an open segment");
        segment.end = self.active.end;
        segment.bytes = self.active.end;
        Ok(())
    }
}

impl WriterJob {
    fn records(&self) -> &[Arc<Record>] {
        match self {
            Self::Append(records) => records,
            Self::Truncate(_) | Self::Vote(_) | Self::Memory { .. } => &[],
        }
    }
}

/// How much of a turn is durable.
#[derive(Clone, Copy)]
enum WrittenTurn {
    Whole,
    /// The records before this position.
    Before(Position),
}

/// Leaves the jobs that are durable in `turn` and returns the rest: of a job that is durable in
/// part, the other records.
fn split_written(turn: &mut Vec<Queued>, written: WrittenTurn) -> Vec<Queued> {
    let WrittenTurn::Before(next) = written else { return Vec::new() };
    let is_durable =
        |queued: &&Queued| queued.job.records().last().is_none_or(|last| last.position < next);
    let durable = turn.iter().take_while(is_durable).count();
    let mut rest = turn.split_off(durable);
    if let Some(Queued { job: WriterJob::Append(records), .. }) = rest.first_mut() {
        records.retain(|record| record.position >= next);
    }
    rest
}

/// Builds a mark. It never claims more than is synced on this node.
fn build_mark(synced: Option<Position>, committed: Option<Position>) -> Mark {
    let count = |position: Option<Position>| position.map_or(0, |position| position + 1);
    Mark { durable: count(synced), committed: count(committed.min(synced)) }
}
