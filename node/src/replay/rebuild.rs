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
        index::{Indexes, Sealed},
    },
};

use super::{recovery, sealing};
use crate::{history::History, limits::READ_BYTES_MAX, state::State};
use evenkeel_ledger::Ledger;

/// A replay beside the road, as far as it has come.
pub struct Rebuild {
    disk: Arc<dyn Disk>,
    journal: Journal,
    /// The ledger of the replay, with indexes of its own.
    state: Arc<State>,
    next: u64,
    /// A segment all of which is replayed, and whose index isn't in its place yet.
    replayed: Option<Sealed>,
    /// The last position of the newest segment that wants an index.
    until: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Underway,
    /// Every index that was wanted is there.
    Done,
    /// The disk is full; the same step may be tried again.
    NoRoom,
    /// Another index that the replay needs is damaged, too: begin anew, with that one among the wanted.
    BeginAnew,
}

impl Rebuild {
    /// For the indexes that are wanted at the moment; `None`: none is.
    pub fn begin(disk: Arc<dyn Disk>, journal: &Journal, indexes: &Indexes) -> Option<Self> {
        let newest = indexes.recovering().pop()?;
        let until = sealed(journal, |segment| segment.first == newest.first)?.last;
        let own = Indexes::open_all(disk.clone(), &journal.folder(), &[]);
        let history = Arc::new(History::new(journal.clone(), Arc::new(own)));
        let state = Arc::new(State::new(Ledger::new(), history, journal.clone()));
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
    ) -> Result<Progress, String> {
        if let Some(segment) = self.replayed.take() {
            match self.take_over(indexes, &segment, pace) {
                Ok(()) => {}
                Err(error) if sealing::is_full(&error) => {
                    self.replayed = Some(segment);
                    return Ok(Progress::NoRoom);
                }
                Err(error) => return Err(format!("rebuilding an index: {error}")),
            }
            let done = self.next > self.until;
            return Ok(if done { Progress::Done } else { Progress::Underway });
        }
        let segment = sealed(&self.journal, |segment| segment.last >= self.next)
            .ok_or_else(|| format!("no sealed segment holds {}", self.next))?;
        let records = self.journal.read(self.next, segment.last + 1, READ_BYTES_MAX);
        let records = records.map_err(|error| error.to_string())?;
        let last = records.last().ok_or_else(|| format!("the record at {} is gone", self.next))?;
        self.next = last.position + 1;
        for record in &records {
            if let Err(error) = recovery::apply(&self.state, record) {
                return self.begin_anew(indexes).ok_or_else(|| error.to_string());
            }
            pace(record.payload.len());
        }
        if self.next > segment.last {
            self.replayed = Some(segment);
        }
        Ok(Progress::Underway)
    }

    fn take_over(
        &self,
        indexes: &Indexes,
        segment: &Sealed,
        pace: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        if indexes.recovering().iter().any(|wanted| wanted.first == segment.first) {
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
    fn begin_anew(&self, indexes: &Indexes) -> Option<Progress> {
        let found = self.state.history().indexes().recovering();
        for recovering in &found {
            indexes.mark_damaged(recovering.first, &recovering.why);
        }
        (!found.is_empty()).then_some(Progress::BeginAnew)
    }
}

/// The first sealed segment of this kind.
fn sealed(journal: &Journal, kind: impl Fn(&Sealed) -> bool) -> Option<Sealed> {
    journal.segments().iter().filter_map(sealing::sealed).find(kind)
}
