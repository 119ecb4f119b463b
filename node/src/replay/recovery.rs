//! From a data folder to a ledger: recovers the journal, verifies the checkpoint, replays the rest.
//!
//! The checkpoint is used only if its rows, its digest and its link in the chain all agree;
//! otherwise it's set aside and the ledger is rebuilt from the journal. Missing or damaged indexes
//! are rewritten along the way.
//!
//! It never depends on threads, sockets or the wall clock: a node and a simulation start the same
//! way.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use evenkeel_storage::{
    balances::{CheckpointError, Checkpoints, Marker, Row},
    disk::{Disk, is_full, is_transient},
    journal::{
        Journal, Record, SegmentInfo,
        index::{Indexes, SealedSegment},
    },
};
use evenkeel_wire::{codec, genesis::Genesis};

use super::sealing::{self, PERMANENT_SECONDS};
use crate::{
    history::{History, record_kind},
    limits::READ_BYTES_MAX,
    replication::engine::types::{self, LogId, StoredMembership},
    state::{
        AppliedState, LogPosition,
        checkpoint_rows::{from_stored_marker, from_stored_row},
        memory::HUGE_PAGES,
    },
};
use evenkeel_ledger::{CheckpointLoader, EntryHead, Ledger};

/// The checkpoint setting that holds the newest membership record: (term, position, payload).
pub const SETTING_MEMBERSHIP: &str = "membership";

/// The results of a start, for the log.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// The position of the checkpoint that was loaded.
    pub checkpoint: Option<u64>,
    /// Why an existing checkpoint wasn't used.
    pub checkpoint_refused: Option<String>,
    /// Why an existing checkpoint couldn't be read, although nothing says that it's damaged. It
    /// stays where it is.
    pub checkpoint_unread: Option<String>,
    /// Missing or damaged indexes that were rewritten.
    pub indexes_rebuilt: usize,
    /// Indexes that turned out to be damaged when the replay needed them.
    pub indexes_damaged: usize,
    /// Entries that were replayed.
    pub replayed: u64,
}

/// Why a node can't start from this folder.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("reading the journal at position {position}: {why}")]
    Journal { position: u64, why: String },
    #[error("replaying position {position}: {why}")]
    Replay { position: u64, why: String },
    #[error("rebuilding an index: {0}")]
    Index(io::Error),
    #[error("the journal's genesis differs from the configuration: {0}")]
    Genesis(String),
}

/// A ledger that has applied everything known to be committed.
pub struct Recovered {
    pub state: Arc<AppliedState>,
    pub applied: Option<LogId>,
    pub membership: StoredMembership,
    pub report: RecoveryReport,
}

/// The parts that a start needs. A damaged checkpoint's folder is set aside by its owner: see
/// [`RecoveryReport::checkpoint_refused`].
pub struct Recovery<'a> {
    pub disk: Arc<dyn Disk>,
    pub journal: Journal,
    pub checkpoints: &'a mut dyn Checkpoints,
    pub progress: &'a mut dyn FnMut(u64, u64),
}

struct LoadedCheckpoint {
    ledger: Ledger,
    membership: Option<(LogPosition, Bytes)>,
    position: Option<u64>,
}

impl LoadedCheckpoint {
    fn empty() -> Self {
        Self { ledger: Ledger::new(HUGE_PAGES), membership: None, position: None }
    }
}

impl Recovery<'_> {
    /// Runs the start.
    ///
    /// # Errors
    /// When the journal can't be read or replayed.
    pub fn run(mut self) -> Result<Recovered, RecoveryError> {
        let mut report = RecoveryReport::default();
        let segments = self.journal.segments();
        let sealed: Vec<SealedSegment> =
            segments.iter().filter_map(sealing::sealed_segment).collect();
        let mut loaded = self.load_checkpoint().unwrap_or_else(|problem| {
            match problem {
                CheckpointProblem::Refused(why) => report.checkpoint_refused = Some(why),
                CheckpointProblem::Unread(why) => report.checkpoint_unread = Some(why),
            }
            LoadedCheckpoint::empty()
        });
        loop {
            let known = report.indexes_damaged;
            match self.build_state(loaded, &segments, &sealed, &mut report) {
                Ok(state) => return Ok(finish(state, report)),
                Err(RecoveryError::Replay { .. })
                    if (known + 1..=sealed.len()).contains(&report.indexes_damaged) =>
                {
                    // The replay needed an index that turned out to be damaged. It's set aside, so
                    // it counts as missing now.
                    loaded = LoadedCheckpoint::empty();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Replays from a checkpoint, or from nothing, up to everything known to be committed.
    fn build_state(
        &mut self,
        mut loaded: LoadedCheckpoint,
        segments: &[SegmentInfo],
        sealed: &[SealedSegment],
        report: &mut RecoveryReport,
    ) -> Result<Arc<AppliedState>, RecoveryError> {
        let folder = self.journal.folder();
        let is_covered = |segment: &&SealedSegment| Some(segment.last) <= loaded.position;
        let covered: Vec<SealedSegment> = sealed.iter().filter(is_covered).cloned().collect();
        let mut indexes = Indexes::open_all(self.disk.clone(), &folder, &covered);
        if !indexes.recovering_indexes().is_empty() {
            // Their outcomes require a replay from the start.
            loaded = LoadedCheckpoint::empty();
            indexes = Indexes::open_all(self.disk.clone(), &folder, &[]);
        }
        report.checkpoint = loaded.position;
        report.replayed = 0;
        let history = Arc::new(History::new(self.journal.clone(), Arc::new(indexes)));
        let position = loaded.position;
        let state =
            Arc::new(AppliedState::new(loaded.ledger, history.clone(), self.journal.clone()));
        if position.is_some() {
            state.record_loaded_checkpoint();
        }
        if let Some((place, payload)) = loaded.membership {
            state.set_membership(place, payload);
        }
        let last_sealed = sealed.last().map(|segment| segment.last);
        let committed = self.journal.committed_position().max(position).max(last_sealed);
        state.checkpoint_only_from(last_sealed.map_or(0, |last| last + 1));
        if let Some(committed) = committed {
            let replayed = self.replay(&state, &history, segments, position, committed, report);
            report.indexes_damaged += history.indexes().recovering_indexes().len();
            replayed?;
        }
        Ok(state)
    }

    /// The checkpoint's ledger; `position: None` if there's none. An error says why an existing one
    /// can't be used.
    fn load_checkpoint(&mut self) -> Result<LoadedCheckpoint, CheckpointProblem> {
        let mut loader = CheckpointLoader::new(HUGE_PAGES);
        let mut membership = None;
        let marker = self.checkpoints.load(&mut |row| match row {
            Row::Setting { name, value } if name == SETTING_MEMBERSHIP => {
                let (term, position, payload): (u64, u64, Vec<u8>) =
                    codec::decode(&value).map_err(|error| error.to_string())?;
                membership = Some((LogPosition { term, position }, payload.into()));
                Ok(())
            }
            row => loader.put(from_stored_row(row)),
        });
        let marker = match marker {
            Ok(Some(marker)) => marker,
            Ok(None) => return Ok(LoadedCheckpoint::empty()),
            Err(error) => return Err(CheckpointProblem::of(&error)),
        };
        self.check_marker(&marker)?;
        let position = Some(marker.position);
        let finished = loader.finish(&from_stored_marker(marker));
        let ledger = finished.map_err(CheckpointProblem::Refused)?;
        Ok(LoadedCheckpoint { ledger, membership, position })
    }

    /// The marker must name a record of this very journal, at the end of a sealed segment:
    /// everything after it is replayed.
    fn check_marker(&self, marker: &Marker) -> Result<(), CheckpointProblem> {
        let position = marker.position;
        let refused = |why: String| Err(CheckpointProblem::Refused(why));
        match self.journal.tip_at(position) {
            Err(error) => Err(CheckpointProblem::Unread(format!(
                "the journal can't be read at {position}: {error}"
            ))),
            Ok(None) => refused(format!("it's at {position}, beyond the journal's end")),
            Ok(Some(tip)) if tip.link != marker.link || tip.term != marker.term => {
                refused(format!(
                    "its link at {position} isn't the journal's: it belongs to another history"
                ))
            }
            Ok(Some(_)) => {
                let ends_sealed = self
                    .journal
                    .segments()
                    .iter()
                    .filter_map(sealing::sealed_segment)
                    .any(|segment| segment.last == position);
                if ends_sealed {
                    Ok(())
                } else {
                    refused(format!("it's at {position}, which isn't the end of a sealed segment"))
                }
            }
        }
    }

    fn replay(
        &mut self,
        state: &AppliedState,
        history: &History,
        segments: &[SegmentInfo],
        from: Option<u64>,
        committed: u64,
        report: &mut RecoveryReport,
    ) -> Result<(), RecoveryError> {
        let mut next = from.map_or(0, |position| position + 1);
        let first = next;
        let mut sealed = segments
            .iter()
            .filter_map(sealing::sealed_segment)
            .filter(|s| s.last >= first)
            .peekable();
        while next <= committed {
            // Stop at a segment's end, to install its index.
            let end = sealed.peek().map_or(committed, |segment| segment.last.min(committed)) + 1;
            let records = self.journal.read(next, end, READ_BYTES_MAX);
            let records = records
                .map_err(|e| RecoveryError::Journal { position: next, why: e.to_string() })?;
            let Some(last) = records.last() else {
                let why = "the record is missing".to_owned();
                return Err(RecoveryError::Journal { position: next, why });
            };
            next = last.position + 1;
            for record in &records {
                apply_record(state, record)?;
            }
            report.replayed += u64::try_from(records.len()).unwrap_or(0);
            (self.progress)(next, committed + 1);
            if let Some(segment) = sealed.next_if(|segment| next > segment.last) {
                self.install_index(state, history, segment, report)?;
            }
        }
        Ok(())
    }

    /// Installs the index of a replayed segment, and rewrites it if it can't be read.
    fn install_index(
        &mut self,
        state: &AppliedState,
        history: &History,
        segment: SealedSegment,
        report: &mut RecoveryReport,
    ) -> Result<(), RecoveryError> {
        let last = segment.last;
        if let Err(error) = history.indexes().add(segment.clone()) {
            if !error.proves_damage() {
                return Err(RecoveryError::Index(error.into()));
            }
            sealing::write_index(&self.journal, state, &*self.disk, &segment, &mut |_| ())
                .map_err(RecoveryError::Index)?;
            history
                .indexes()
                .add(segment)
                .map_err(|e| RecoveryError::Index(io::Error::other(e)))?;
            report.indexes_rebuilt += 1;
        }
        drop(state.with_ledger(|ledger| ledger.forget_through(last)));
        Ok(())
    }
}

fn finish(state: Arc<AppliedState>, report: RecoveryReport) -> Recovered {
    state.checkpoint_only_from(0);
    let applied = state.with_ledger(|ledger| ledger.last_entry().copied());
    let applied = applied.map(|last| types::log_id(last.term, last.position));
    let membership = state.membership().and_then(|(place, payload)| {
        let id = types::log_id(place.term, place.position);
        types::membership_from_payload(id, &payload)
    });
    Recovered { state, applied, membership: membership.unwrap_or_default(), report }
}

/// Applies one record of any kind.
///
/// # Errors
/// When it can't be decoded or the ledger is faulty.
pub fn apply_record(state: &AppliedState, record: &Record) -> Result<(), RecoveryError> {
    let position = record.position;
    let wrong = |why: String| RecoveryError::Replay { position, why };
    let head = EntryHead { position, term: record.term, time: record.time, link: record.link.0 };
    match record.kind {
        record_kind::COMMANDS => {
            state.apply(&head, &record.payload).map_err(|error| wrong(error.to_string()))?;
        }
        record_kind::MEMBERSHIP => {
            state.skip_entry(&head).map_err(|error| wrong(error.to_string()))?;
            state.set_membership(
                LogPosition { term: record.term, position },
                record.payload.clone(),
            );
        }
        record_kind::BLANK => state.skip_entry(&head).map_err(|error| wrong(error.to_string()))?,
        other => return Err(wrong(format!("a record of kind {other}"))),
    }
    Ok(())
}

/// Checks the configuration against the journal's genesis, where it can't change any more.
///
/// # Errors
/// Names the difference.
pub fn check_genesis(state: &AppliedState, configured: &Genesis) -> Result<(), RecoveryError> {
    let founded = state.with_ledger(|ledger| ledger.genesis().cloned());
    match founded {
        Some(founded) if founded.cluster != configured.cluster => {
            Err(RecoveryError::Genesis(format!("cluster {}", founded.cluster)))
        }
        _ => Ok(()),
    }
}

/// Why an existing checkpoint isn't used.
enum CheckpointProblem {
    /// It's damaged, or of another history.
    Refused(String),
    /// It can't be read now: no descriptor or space is free.
    Unread(String),
}

impl CheckpointProblem {
    fn of(error: &CheckpointError) -> Self {
        match error {
            CheckpointError::Io(source) if is_full(source) || is_transient(source) => {
                Self::Unread(error.to_string())
            }
            error => Self::Refused(error.to_string()),
        }
    }
}

/// The folder of the balances.
pub fn balances_folder(data: &Path) -> PathBuf {
    data.join("balances")
}

const _: () = assert!(*PERMANENT_SECONDS.start() == 0, "an existing index is always searched");
