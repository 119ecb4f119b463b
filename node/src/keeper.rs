//! The keeper: background work. It seals and indexes segments, rebuilds damaged indexes, writes
//! checkpoints, audits rows, scrubs sealed segments and takes digests when idle.
//!
//! One turn does one bounded piece of work and returns how long to rest. In production a
//! low-priority thread runs the turns, in the simulation a task. No command waits for the keeper,
//! unless it's far behind (`replication::proposing::sealing_pace`). What it can't do for want of a
//! descriptor or of memory it tries again: that proves nothing about the files.
//!
//! A start relies on this order: a segment's index is durable before the segment counts as sealed,
//! and a checkpoint's marker is written only when the segment that it ends is sealed.

mod checks;

use std::{io, sync::Arc, time::Duration};

use evenkeel_storage::{
    balances::{CheckpointError, Checkpoints, Row},
    disk::{Disk, is_full, is_transient},
    journal::{self, Journal, ReadError, index::SealedSegment},
};
use evenkeel_wire::codec;

use crate::{
    history::History,
    limits::{CHECKPOINT_ROWS_PER_SECOND, CHECKPOINT_SLICE_ROWS},
    metrics::{KeeperTimes, KeeperWork},
    replay::{
        rebuild::{Rebuild, RebuildProgress},
        recovery::SETTING_MEMBERSHIP,
        sealing::{PERMANENT_SECONDS, is_disk_full, may_pass, write_index},
    },
    state::{
        AppliedState, BegunCheckpoint,
        checkpoint_rows::{to_stored_marker, to_stored_row},
    },
    telemetry::panic_if_planted,
};
use checks::Checks;

/// Opens the checkpoint store again after an error.
pub type ReopenCheckpoints =
    Box<dyn FnMut(Reopening) -> Result<Box<dyn Checkpoints>, CheckpointError> + Send>;

/// What becomes of the checkpoints that were written so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopening {
    /// They stay: nothing says that they are damaged, and they are verified when they are used.
    AsTheyAre,
    /// They are set aside, and an empty store takes their place.
    Anew,
}

/// The rest before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There is more to do.
    For(Duration),
    /// Nothing to do at the moment.
    Idle,
}

/// Runs the turns.
pub struct Keeper {
    state: Arc<AppliedState>,
    history: Arc<History>,
    journal: Journal,
    disk: Arc<dyn Disk>,
    checkpoints: Option<Box<dyn Checkpoints>>,
    reopen: ReopenCheckpoints,
    reopening: Reopening,
    writing: Option<CheckpointWrite>,
    /// Throttles background writes: it sleeps according to the bytes written.
    pace: Box<dyn FnMut(usize) + Send>,
    position_before: Option<u64>,
    checks: Checks,
    times: Arc<KeeperTimes>,
    waiting_for_room: bool,
    /// The log says already that something is tried again.
    logged_retry: bool,
    /// A segment waits for the index of another one, which is being rebuilt.
    waiting_for_index: bool,
    /// Damaged indexes that are being rebuilt.
    rebuild: Option<Rebuild>,
}

/// A checkpoint in progress.
struct CheckpointWrite {
    begun: BegunCheckpoint,
    generation: u64,
    copied: bool,
}

/// Bytes of the journal that are added to the recent index at a time.
const RECENT_INDEX_BYTES: usize = 1 << 20;
/// The rest before something is tried again that failed for want of a descriptor or of memory.
const RETRY_REST: Duration = Duration::from_secs(1);

impl Keeper {
    pub fn new(
        state: Arc<AppliedState>,
        history: Arc<History>,
        journal: Journal,
        disk: Arc<dyn Disk>,
        checkpoints: Box<dyn Checkpoints>,
        reopen: ReopenCheckpoints,
        pace: Box<dyn FnMut(usize) + Send>,
    ) -> Self {
        Self {
            state,
            history,
            journal,
            disk,
            checkpoints: Some(checkpoints),
            reopen,
            reopening: Reopening::AsTheyAre,
            writing: None,
            pace,
            position_before: None,
            checks: Checks::default(),
            times: Arc::new(KeeperTimes::unscraped()),
            waiting_for_room: false,
            logged_retry: false,
            waiting_for_index: false,
            rebuild: None,
        }
    }

    /// Counts the CPU time of its work there.
    #[must_use]
    pub fn counting_in(self, times: Arc<KeeperTimes>) -> Self {
        Self { times, ..self }
    }

    /// Does one piece of work.
    ///
    /// # Errors
    /// When the node must stop: the sums are wrong, or a segment can't be sealed.
    pub fn run_turn(&mut self) -> Result<Rest, String> {
        panic_if_planted("keeper");
        let times = self.times.clone();
        self.digest_when_idle();
        times.measure(KeeperWork::Index, || self.update_recent_index());
        match self.seal_next() {
            Ok(false) => {}
            Ok(true) => {
                self.logged_retry = false;
                return Ok(Rest::For(Duration::from_millis(1)));
            }
            Err(SealFailure::DiskFull) => return Ok(self.wait_for_room()),
            Err(SealFailure::NotNow(why)) => return Ok(self.try_later("sealing a segment", &why)),
            Err(SealFailure::Broken(why)) => return Err(format!("sealing a segment: {why}")),
        }
        self.waiting_for_room &= self.rebuild.is_some();
        let (written, _) = times.measure(KeeperWork::Checkpoint, || self.write_checkpoint());
        if let Some(rest) = written {
            return Ok(rest);
        }
        let (rebuilt, _) = times.measure(KeeperWork::Index, || self.rebuild_indexes());
        if let Some(rest) = rebuilt? {
            return Ok(rest);
        }
        self.checks.run(&self.state, &self.journal, self.history.indexes(), &times)
    }

    /// Says once that something is tried again.
    fn try_later(&mut self, doing: &'static str, why: &dyn std::fmt::Display) -> Rest {
        if !std::mem::replace(&mut self.logged_retry, true) {
            tracing::warn!(doing, %why, "the keeper can't go on at the moment; trying again");
        }
        Rest::For(RETRY_REST)
    }

    /// Rebuilds damaged indexes, one piece a turn.
    fn rebuild_indexes(&mut self) -> Result<Option<Rest>, String> {
        let indexes = self.history.indexes();
        let mut rebuild = match self.rebuild.take() {
            Some(rebuild) => rebuild,
            None => match Rebuild::begin(self.disk.clone(), &self.journal, indexes) {
                Some(rebuild) => rebuild,
                None => return Ok(None),
            },
        };
        let rest = match rebuild.step(indexes, &mut *self.pace)? {
            RebuildProgress::Underway => {
                self.waiting_for_room = false;
                Rest::For(Duration::from_millis(1))
            }
            RebuildProgress::DiskFull => self.wait_for_room(),
            RebuildProgress::NotNow => {
                self.try_later("rebuilding an index", &"a file can't be opened")
            }
            RebuildProgress::Done | RebuildProgress::Restart => {
                return Ok(Some(Rest::For(Duration::ZERO)));
            }
        };
        self.rebuild = Some(rebuild);
        Ok(Some(rest))
    }

    /// Takes a digest if nothing was applied since the last turn.
    fn digest_when_idle(&mut self) {
        let position = self.state.position();
        if position == self.position_before && position.is_some() {
            self.state.digest_now();
        }
        self.position_before = position;
    }

    /// Adds newly applied entries to the recent index, so that callers have little left to add. If
    /// an entry can't be read, callers get an error and the keeper retries.
    fn update_recent_index(&mut self) {
        loop {
            match self.state.update_recent_index(RECENT_INDEX_BYTES) {
                Ok(true) => (self.pace)(RECENT_INDEX_BYTES),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "recent entries can't be added to the index of accounts' histories");
                    return;
                }
            }
        }
    }

    /// Seals the oldest rolled segment once all of it is applied.
    fn seal_next(&mut self) -> Result<bool, SealFailure> {
        let Some(segment) = self.journal.oldest_rolled() else { return Ok(false) };
        let Some(last) = segment.last else { return Ok(false) };
        let settled = self
            .state
            .position()
            .min(self.journal.durable_position())
            .min(self.journal.committed_position());
        if settled < Some(last) {
            return Ok(false);
        }
        self.waiting_for_index &= !self.history.indexes().recovering_indexes().is_empty();
        if self.waiting_for_index {
            return Ok(false);
        }
        let sealed = SealedSegment { first: segment.first, last, id_seconds: PERMANENT_SECONDS };
        let times = self.times.clone();
        let (written, _) = times.measure(KeeperWork::Index, || {
            write_index(&self.journal, &self.state, &*self.disk, &sealed, &mut *self.pace)
        });
        if let Err(error) = written {
            if may_pass(&error) {
                return Err(error.into());
            }
            if self.history.indexes().recovering_indexes().is_empty() {
                return Err(error.into());
            }
            // The index that it needs is being rebuilt, so the segment waits.
            self.waiting_for_index = true;
            return Ok(false);
        }
        // Opened before the segment counts as sealed: afterwards nothing may fail.
        let opened = self.history.indexes().open_index(&sealed).map_err(io::Error::from)?;
        times.measure(KeeperWork::Seal, || self.journal.seal(segment.first)).0?;
        self.history.indexes().put(sealed, opened);
        let forgotten = self.state.with_ledger(|ledger| ledger.forget_through(last));
        drop(forgotten);
        tracing::debug!(first = segment.first, last, "sealed a segment");
        Ok(true)
    }

    fn wait_for_room(&mut self) -> Rest {
        if !std::mem::replace(&mut self.waiting_for_room, true) {
            tracing::error!(
                "the disk is full: a segment waits to be sealed or indexed; free some space"
            );
        }
        Rest::For(Duration::from_secs(1))
    }

    /// Writes a checkpoint's next slice, or its marker once the segment that it ends is sealed.
    fn write_checkpoint(&mut self) -> Option<Rest> {
        if self.writing.is_none() {
            let begun = self.state.take_begun_checkpoint()?;
            match self.begin_checkpoint(begun) {
                Ok(writing) => self.writing = Some(writing),
                Err(error) => return Some(self.abandon_checkpoint(&error)),
            }
        }
        let writing = self.writing.as_ref()?;
        if !writing.copied {
            return Some(match self.copy_slice() {
                Ok(rest) => rest,
                Err(error) => self.abandon_checkpoint(&error),
            });
        }
        let position = writing.begun.head.marker.position;
        if self.history.indexes().last_position() < Some(position) {
            return None;
        }
        let done = self.finish_checkpoint();
        Some(match done {
            Ok(()) => Rest::For(Duration::from_millis(1)),
            Err(error) => self.abandon_checkpoint(&error),
        })
    }

    fn open_checkpoints(&mut self) -> Result<&mut dyn Checkpoints, CheckpointError> {
        if self.checkpoints.is_none() {
            self.checkpoints = Some((self.reopen)(self.reopening)?);
            self.reopening = Reopening::AsTheyAre;
        }
        let store = self.checkpoints.as_mut().expect("opened above");
        Ok(&mut **store)
    }

    fn begin_checkpoint(
        &mut self,
        begun: BegunCheckpoint,
    ) -> Result<CheckpointWrite, CheckpointError> {
        let generation = self.open_checkpoints()?.begin(begun.head.all)?;
        if let Some((place, payload)) = &begun.membership {
            let value = codec::encode(&(place.term, place.position, payload.to_vec()));
            self.open_checkpoints()?
                .put(&[Row::Setting { name: SETTING_MEMBERSHIP.to_owned(), value }])?;
        }
        Ok(CheckpointWrite { begun, generation, copied: false })
    }

    fn copy_slice(&mut self) -> Result<Rest, CheckpointError> {
        let mut rows = Vec::new();
        let more = self
            .state
            .with_ledger(|ledger| ledger.checkpoint_next(CHECKPOINT_SLICE_ROWS, &mut rows));
        let rows: Vec<_> = rows.into_iter().map(to_stored_row).collect();
        self.open_checkpoints()?.put(&rows)?;
        if let Some(writing) = &mut self.writing {
            writing.copied = !more;
        }
        let rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(Rest::For(Duration::from_millis(
            rows.saturating_mul(1_000) / CHECKPOINT_ROWS_PER_SECOND,
        )))
    }

    fn finish_checkpoint(&mut self) -> Result<(), CheckpointError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let CheckpointWrite { begun, generation, .. } = writing;
        let marker = to_stored_marker(begun.head.marker, generation);
        let (position, accounts) = (marker.position, marker.accounts);
        self.open_checkpoints()?.finish(marker)?;
        self.state.end_checkpoint(true);
        tracing::debug!(position, accounts, "wrote a checkpoint");
        Ok(())
    }

    /// A failed checkpoint never stops the node: it's abandoned, and the next one is written in
    /// full. The finished ones are set aside only if they may be damaged.
    fn abandon_checkpoint(&mut self, error: &CheckpointError) -> Rest {
        let stays = match error {
            CheckpointError::Io(error) => is_full(error) || is_transient(error),
            CheckpointError::Closed(_) => true,
            _ => false,
        };
        if !stays {
            self.reopening = Reopening::Anew;
        }
        tracing::error!(
            %error,
            "a checkpoint of the balances wasn't written; the journal is complete, and the next checkpoint is written in full"
        );
        self.writing = None;
        self.checkpoints = None;
        self.state.end_checkpoint(false);
        Rest::For(Duration::from_secs(1))
    }
}

/// Why a segment isn't sealed.
enum SealFailure {
    /// Retried when there's space.
    DiskFull,
    /// No descriptor or memory is free: retried.
    NotNow(String),
    Broken(String),
}

impl From<io::Error> for SealFailure {
    fn from(error: io::Error) -> Self {
        if is_disk_full(&error) {
            Self::DiskFull
        } else if may_pass(&error) {
            Self::NotNow(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}

impl From<journal::SealError> for SealFailure {
    fn from(error: journal::SealError) -> Self {
        match error {
            journal::SealError::DiskFull(_) => Self::DiskFull,
            error @ journal::SealError::TryAgain { .. } => Self::NotNow(error.to_string()),
            journal::SealError::Unreadable(ReadError::Io { source, .. })
                if is_transient(&source) =>
            {
                Self::NotNow(source.to_string())
            }
            error => Self::Broken(error.to_string()),
        }
    }
}
