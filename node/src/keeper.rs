//! The keeper: background work. It seals and indexes segments, rebuilds damaged indexes, writes
//! checkpoints, audits rows, scrubs sealed segments and takes digests when idle.
//!
//! One turn does one bounded piece of work and returns how long to rest. In production a
//! low-priority thread runs the turns, in the simulation a task. No command ever waits for the
//! keeper. A start relies on this order: a segment's index is durable before the segment counts as
//! sealed, and a checkpoint's marker is written only when the segment that it ends is sealed.

use std::{io, sync::Arc, time::Duration};

use evenkeel_storage::{
    balances::{CheckpointError, Checkpoints, Row},
    disk::Disk,
    journal::{self, Journal, index::SealedSegment},
};
use evenkeel_wire::codec;

use crate::{
    history::History,
    limits::{CHECKPOINT_ROWS_PER_SECOND, CHECKPOINT_SLICE_ROWS},
    replay::{
        rebuild::{Rebuild, RebuildProgress},
        recovery::SETTING_MEMBERSHIP,
        sealing::{PERMANENT_SECONDS, is_disk_full, sealed_segment, write_index},
    },
    state::{
        AppliedState, BegunCheckpoint,
        checkpoint_rows::{to_stored_marker, to_stored_row},
    },
    telemetry::panic_if_planted,
};
use evenkeel_ledger::AuditProgress;

/// Opens an empty checkpoint store after the old one was set aside.
pub type ReopenCheckpoints =
    Box<dyn FnMut() -> Result<Box<dyn Checkpoints>, CheckpointError> + Send>;

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
    writing: Option<CheckpointWrite>,
    /// Throttles background writes: it sleeps according to the bytes written.
    pace: Box<dyn FnMut(usize) + Send>,
    position_before: Option<u64>,
    audited: u64,
    waiting_for_room: bool,
    /// A segment waits for the index of another one, which is being rebuilt.
    waiting_for_index: bool,
    /// The first position of the sealed segment that the scrubber reads next.
    scrub_next: u64,
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
/// The scrubber's rest between segments.
const SCRUB_REST: Duration = Duration::from_secs(5);

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
            writing: None,
            pace,
            position_before: None,
            audited: 0,
            waiting_for_room: false,
            waiting_for_index: false,
            scrub_next: 0,
            rebuild: None,
        }
    }

    /// Does one piece of work.
    ///
    /// # Errors
    /// When the node must stop: the sums are wrong, or a segment can't be sealed.
    pub fn run_turn(&mut self) -> Result<Rest, String> {
        panic_if_planted("keeper");
        self.digest_when_idle();
        self.update_recent_index();
        match self.seal_next() {
            Ok(false) => {}
            Ok(true) => return Ok(Rest::For(Duration::from_millis(1))),
            Err(SealFailure::DiskFull) => return Ok(self.wait_for_room()),
            Err(SealFailure::Broken(why)) => return Err(format!("sealing a segment: {why}")),
        }
        self.waiting_for_room &= self.rebuild.is_some();
        if let Some(rest) = self.write_checkpoint() {
            return Ok(rest);
        }
        if let Some(rest) = self.rebuild_indexes()? {
            return Ok(rest);
        }
        self.audit_rows()
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
        let written =
            write_index(&self.journal, &self.state, &*self.disk, &sealed, &mut *self.pace);
        if let Err(error) = written {
            if self.history.indexes().recovering_indexes().is_empty() {
                return Err(error.into());
            }
            // The index that it needs is being rebuilt, so the segment waits.
            self.waiting_for_index = true;
            return Ok(false);
        }
        self.journal.seal(segment.first)?;
        self.history.indexes().add(sealed).map_err(|e| SealFailure::Broken(e.to_string()))?;
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
            self.checkpoints = Some((self.reopen)()?);
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
    /// full.
    fn abandon_checkpoint(&mut self, error: &CheckpointError) -> Rest {
        tracing::error!(
            %error,
            "a checkpoint of the balances wasn't written; the journal is complete, and the next checkpoint is written in full"
        );
        self.writing = None;
        self.checkpoints = None;
        self.state.end_checkpoint(false);
        Rest::For(Duration::from_secs(1))
    }

    /// Audits the next rows: sums and digest must match the ledger's running ones.
    fn audit_rows(&mut self) -> Result<Rest, String> {
        let position = self.state.position().unwrap_or(0);
        if position == self.audited {
            return self.scrub_segment();
        }
        let progress = self.state.with_ledger(|ledger| ledger.audit_next(CHECKPOINT_SLICE_ROWS));
        let progress = progress.map_err(|unwell| {
            self.state.fail_as_broken(&unwell.to_string());
            unwell.to_string()
        });
        match progress? {
            AuditProgress::Underway { .. } => Ok(Rest::For(Duration::from_millis(20))),
            AuditProgress::Agreed { .. } => {
                self.audited = position;
                Ok(Rest::Idle)
            }
        }
    }

    /// Verifies one sealed segment, oldest first, and starts over after the newest: bit rot must be
    /// found while peers still have a good copy.
    fn scrub_segment(&mut self) -> Result<Rest, String> {
        let segments = self.journal.segments();
        let mut sealed = segments.iter().filter_map(sealed_segment);
        let Some(segment) = sealed.find(|segment| segment.first >= self.scrub_next) else {
            self.scrub_next = 0;
            return Ok(Rest::Idle);
        };
        self.journal.scrub(segment.first).map_err(|damage| damage.to_string())?;
        let indexes = self.history.indexes();
        if let Some(index) = indexes.segment_index(segment.first)
            && let Err(error) = index.verify()
        {
            indexes.mark_damaged(segment.first, &error);
        }
        self.scrub_next = segment.last + 1;
        Ok(Rest::For(SCRUB_REST))
    }
}

/// Why a segment isn't sealed.
enum SealFailure {
    /// Retried when there's space.
    DiskFull,
    Broken(String),
}

impl From<io::Error> for SealFailure {
    fn from(error: io::Error) -> Self {
        if is_disk_full(&error) { Self::DiskFull } else { Self::Broken(error.to_string()) }
    }
}

impl From<journal::SealError> for SealFailure {
    fn from(error: journal::SealError) -> Self {
        match error {
            journal::SealError::DiskFull(_) => Self::DiskFull,
            error => Self::Broken(error.to_string()),
        }
    }
}
