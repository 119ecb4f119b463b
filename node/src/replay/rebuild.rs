//! A damaged index made anew while the node runs: the journal is applied from its start to a second ledger, which knows
//! outcomes the way only a ledger can, and what that one decided is written beside the segment again.
//!
//! It takes the memory of a ledger and the time of a whole replay, at the keeper's leisure. It never touches the ledger that
//! serves, and what it finds broken stops the node like any other broken belief.

use std::{io, sync::Arc};

use evenkeel_storage::{
    disk::Disk,
    journal::{
        Journal,
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

/// A replay beside the road, as far as it has come.
pub struct Rebuild {
    disk: Arc<dyn Disk>,
    journal: Journal,
    /// The ledger of the replay, with indexes of its own.
    state: Arc<AppliedState>,
    next: u64,
    /// A segment all of which is replayed, and whose index isn't in its place yet.
    replayed: Option<SealedSegment>,
    /// The last position of the newest segment that wants an index.
    until: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebuildProgress {
    Underway,
    /// Every index that was wanted is there.
    Done,
    /// The disk is full; the same step may be tried again.
    DiskFull,
    /// Another index that the replay needs is damaged, too: begin anew, with that one among the wanted.
    Restart,
}

impl Rebuild {
    /// For the indexes that are wanted at the moment; `None`: none is.
    pub fn begin(disk: Arc<dyn Disk>, journal: &Journal, indexes: &Indexes) -> Option<Self> {
        let newest = indexes.recovering_indexes().pop()?;
        let until = find_sealed_segment(journal, |segment| segment.first == newest.first)?.last;
        let own = Indexes::open_all(disk.clone(), &journal.folder(), &[]);
        let history = Arc::new(History::new(journal.clone(), Arc::new(own)));
        let state = Arc::new(AppliedState::new(Ledger::new(HUGE_PAGES), history, journal.clone()));
        // What is built here is never worth a checkpoint.
        state.checkpoint_only_from(u64::MAX);
        tracing::info!(
            first = newest.first,
            why = newest.why,
            "rebuilding an index: replaying the journal beside the road"
        );
        Some(Self { disk, journal: journal.clone(), state, next: 0, replayed: None, until })
    }

    /// Replays a piece, or puts the index of a replayed segment in its place where one is wanted.
    ///
    /// # Errors
    /// When the journal can't be read or applied, or the index not be written: the node must stop.
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
                Err(error) => return Err(format!("rebuilding an index: {error}")),
            }
            let done = self.next > self.until;
            return Ok(if done { RebuildProgress::Done } else { RebuildProgress::Underway });
        }
        let segment = find_sealed_segment(&self.journal, |segment| segment.last >= self.next)
            .ok_or_else(|| format!("no sealed segment holds {}", self.next))?;
        let records = self.journal.read(self.next, segment.last + 1, READ_BYTES_MAX);
        let records = records.map_err(|error| error.to_string())?;
        let last = records.last().ok_or_else(|| format!("the record at {} is gone", self.next))?;
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
            // Found only now: its header can't be read. What the ledger knows still is as good.
            indexes.mark_damaged(segment.first, &error);
            sealing::write_index(&self.journal, &self.state, &*self.disk, segment, pace)?;
            own.add(segment.clone())?;
            indexes.add(segment.clone())?;
        }
        drop(self.state.with_ledger(|ledger| ledger.forget_through(segment.last)));
        Ok(())
    }

    /// Whether what stopped the replay was an index that can't be read either.
    fn restart_if_damaged(&self, indexes: &Indexes) -> Option<RebuildProgress> {
        let found = self.state.history().indexes().recovering_indexes();
        for recovering in &found {
            indexes.mark_damaged(recovering.first, &recovering.why);
        }
        (!found.is_empty()).then_some(RebuildProgress::Restart)
    }
}

/// The first sealed segment of this kind.
fn find_sealed_segment(
    journal: &Journal,
    kind: impl Fn(&SealedSegment) -> bool,
) -> Option<SealedSegment> {
    journal.segments().iter().filter_map(sealing::sealed_segment).find(kind)
}
