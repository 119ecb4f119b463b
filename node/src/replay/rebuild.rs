//! Rebuilds a damaged index while the node runs: the journal is replayed from its start into a
//! second ledger, because only a ledger can compute outcomes, and the index is written again from
//! that ledger.
//!
//! It takes the memory of a ledger and the time of a whole replay, in the background. It never
//! touches the ledger that serves; damage that it finds stops the node like any other broken
//! invariant.

use std::{io, sync::Arc};

use evenkeel_storage::{
    disk::{Disk, is_transient},
    journal::{
        Journal, ReadError,
        index::{Indexes, SealedSegment},
    },
};

use super::{recovery, sealing};
use crate::{
    history::History,
    limits::READ_BYTES_MAX,
    state::{AppliedState, memory::HUGE_PAGES},
};
use evenkeel_ledger::Ledger;

/// The state of a background replay.
pub struct Rebuild {
    disk: Arc<dyn Disk>,
    journal: Journal,
    /// The replay's own ledger, with its own indexes.
    state: Arc<AppliedState>,
    next: u64,
    /// A replayed segment whose index isn't installed yet.
    replayed: Option<SealedSegment>,
    /// The last position of the newest segment that needs an index.
    until: u64,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildProgress {
    Underway,
    /// Every index that was needed is installed.
    Done,
    /// The disk is full; the same step may be retried.
    DiskFull,
    /// No descriptor or memory is free; the same step may be retried.
    NotNow,
    /// Another index that the replay needs is damaged, too: start over with both.
    Restart,
}

impl Rebuild {
    /// A rebuild of all indexes that are damaged at the moment; `None`: there's none.
    pub fn begin(disk: Arc<dyn Disk>, journal: &Journal, indexes: &Indexes) -> Option<Self> {
        let newest = indexes.recovering_indexes().pop()?;
        let until = find_sealed_segment(journal, |segment| segment.first == newest.first)?.last;
        let own = Indexes::open_all(disk.clone(), &journal.folder(), &[]);
        let history = Arc::new(History::new(journal.clone(), Arc::new(own)));
        let state = Arc::new(AppliedState::new(Ledger::new(HUGE_PAGES), history, journal.clone()));
        // A checkpoint of this second ledger isn't worth writing.
        state.checkpoint_only_from(u64::MAX);
        tracing::info!(
            first = newest.first,
            why = newest.why,
            "rebuilding an index: replaying the journal in the background"
        );
        Some(Self { disk, journal: journal.clone(), state, next: 0, replayed: None, until })
    }

    /// Replays a piece, or installs the index of a replayed segment where one is needed.
    ///
    /// # Errors
    /// When the journal can't be read or applied, or the index can't be written: the node must
    /// stop.
    pub fn step(
        &mut self,
        indexes: &Indexes,
        pace: &mut dyn FnMut(usize),
    ) -> Result<RebuildProgress, String> {
        if let Some(segment) = self.replayed.take() {
            match self.install_index(indexes, &segment, pace) {
                Ok(()) => {}
                Err(error) if sealing::is_disk_full(&error) => {
                    self.replayed = Some(segment);
                    return Ok(RebuildProgress::DiskFull);
                }
                Err(error) if sealing::may_pass(&error) => {
                    self.replayed = Some(segment);
                    return Ok(RebuildProgress::NotNow);
                }
                Err(error) => return Err(format!("rebuilding an index: {error}")),
            }
            let done = self.next > self.until;
            return Ok(if done { RebuildProgress::Done } else { RebuildProgress::Underway });
        }
        let segment = find_sealed_segment(&self.journal, |segment| segment.last >= self.next)
            .ok_or_else(|| format!("no sealed segment contains {}", self.next))?;
        let records = self.journal.read(self.next, segment.last + 1, READ_BYTES_MAX);
        let records = match records {
            Err(ReadError::Io { source, .. }) if is_transient(&source) => {
                return Ok(RebuildProgress::NotNow);
            }
            records => records.map_err(|error| error.to_string())?,
        };
        let last =
            records.last().ok_or_else(|| format!("the record at {} is missing", self.next))?;
        self.next = last.position + 1;
        for record in &records {
            if let Err(error) = recovery::apply_record(&self.state, record) {
                return self.restart_if_damaged(indexes).ok_or_else(|| error.to_string());
            }
            pace(record.payload.len());
        }
        if self.next > segment.last {
            self.replayed = Some(segment);
        }
        Ok(RebuildProgress::Underway)
    }

    fn install_index(
        &self,
        indexes: &Indexes,
        segment: &SealedSegment,
        pace: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        if indexes.recovering_indexes().iter().any(|wanted| wanted.first == segment.first) {
            sealing::write_index(&self.journal, &self.state, &*self.disk, segment, pace)?;
            indexes.add(segment.clone())?;
            tracing::info!(first = segment.first, last = segment.last, "rebuilt an index");
        }
        let own = self.state.history().indexes();
        if let Err(error) = own.add(segment.clone()) {
            if !error.proves_damage() {
                return Err(error.into());
            }
            // The damage shows only now: the index's header can't be read. The ledger still has the
            // outcomes, so write it again.
            indexes.mark_damaged(segment.first, &error);
            sealing::write_index(&self.journal, &self.state, &*self.disk, segment, pace)?;
            own.add(segment.clone())?;
            indexes.add(segment.clone())?;
        }
        drop(self.state.with_ledger(|ledger| ledger.forget_through(segment.last)));
        Ok(())
    }

    /// Whether the replay stopped at another unreadable index.
    fn restart_if_damaged(&self, indexes: &Indexes) -> Option<RebuildProgress> {
        let found = self.state.history().indexes().recovering_indexes();
        for recovering in &found {
            indexes.mark_damaged(recovering.first, &recovering.why);
        }
        (!found.is_empty()).then_some(RebuildProgress::Restart)
    }
}

/// The first sealed segment that the filter selects.
fn find_sealed_segment(
    journal: &Journal,
    kind: impl Fn(&SealedSegment) -> bool,
) -> Option<SealedSegment> {
    journal.segments().iter().filter_map(sealing::sealed_segment).find(kind)
}
