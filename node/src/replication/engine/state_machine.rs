//! Applies committed entries to the ledger, in order, and returns their outcomes to the proposers.
//!
//! What an entry needs from files is read on another thread before it's applied, and after some
//! thousand commands other tasks have their turn: a heartbeat never waits for a disk or for a
//! backlog. It holds no state of its own, and never makes a snapshot.

use std::{io, sync::Arc};

use bytes::Bytes;
use evenkeel_wire::{
    id::NODES,
    outcome::{Answer, Stamp},
};
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload,
    storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine},
    type_config::alias::{SnapshotMetaOf, SnapshotOf},
};

use super::types::{EngineEntry, EngineTypes, LogId, StoredMembership, encode_membership, term_of};
use crate::{
    history::ResolvedLookups,
    limits::APPLIED_AT_A_TIME,
    metrics::Metrics,
    replication::journal_reads::JournalReads,
    road::DecidedEntry,
    state::{AppliedState, LogPosition},
};
use evenkeel_ledger::{EntryHead, LedgerFault};

/// The engine's view of the ledger.
pub struct StateMachine {
    state: Arc<AppliedState>,
    reads: JournalReads,
    applied: Option<LogId>,
    membership: StoredMembership,
    metrics: Arc<Metrics>,
    /// The work since other tasks had their turn: commands, and one for each entry.
    work: usize,
}

impl StateMachine {
    /// Over a ledger that has applied everything up to `applied`.
    pub fn new(
        state: Arc<AppliedState>,
        reads: JournalReads,
        applied: Option<LogId>,
        membership: StoredMembership,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { state, reads, applied, membership, metrics, work: 0 }
    }

    async fn apply_one(
        &mut self,
        entry: &EngineEntry,
    ) -> Result<Option<Arc<DecidedEntry>>, io::Error> {
        let position = entry.log_id.index();
        let tip = self
            .reads
            .tip_at(position)
            .await?
            .ok_or_else(|| io::Error::other(format!("the record at {position} is gone")))?;
        if tip.term != term_of(&entry.log_id) {
            // Applying it would move money without a majority's agreement.
            return Err(io::Error::other(format!(
                "the engine gave an entry of term {} to apply at {position}, the journal's is of term {}",
                term_of(&entry.log_id),
                tip.term
            )));
        }
        let head = EntryHead { position, term: tip.term, time: tip.time, link: tip.link.0 };
        let decided = match &entry.payload {
            EntryPayload::Normal(batch) => {
                let resolved = self.resolve_lookups(&batch.body).await?;
                let applied = self.state.apply_resolved(&head, &batch.body, resolved);
                let answers: Vec<Answer> = applied.map_err(|fault| self.fail(position, fault))?;
                self.work += answers.len();
                self.metrics.count_applied(&answers);
                let stamp =
                    Stamp { position, term: head.term, recorded_at: head.time, link: head.link };
                Some(Arc::new(DecidedEntry { stamp, answers }))
            }
            EntryPayload::Blank => {
                self.state.skip_entry(&head).map_err(|fault| self.fail(position, fault))?;
                self.metrics.count_empty_entry();
                None
            }
            EntryPayload::Membership(members) => {
                self.membership = StoredMembership::new(Some(entry.log_id), members.clone());
                let applied = LogPosition { term: head.term, position };
                self.state.skip_entry(&head).map_err(|fault| self.fail(position, fault))?;
                self.state.set_membership(applied, encode_membership(members));
                self.metrics.count_empty_entry();
                None
            }
        };
        self.applied = Some(entry.log_id);
        self.work += 1;
        Ok(decided)
    }

    /// Reads what an entry needs from files, on another thread.
    async fn resolve_lookups(&self, body: &Bytes) -> Result<ResolvedLookups, io::Error> {
        let needed = self.state.find_lookups(body);
        if needed.is_empty() {
            return Ok(ResolvedLookups::default());
        }
        let state = self.state.clone();
        let resolve = move || state.history_reader().resolve_lookups(&needed);
        let threads = self.state.read_threads().replication;
        threads.run(NODES, resolve).await.map_err(io::Error::other)
    }

    /// Lets other tasks have their turn when enough was applied.
    async fn pause_after_work(&mut self) {
        if self.work >= APPLIED_AT_A_TIME {
            self.work = 0;
            tokio::task::yield_now().await;
        }
    }

    /// The node can't go on. Only a fault in something derived may be met with a new start.
    fn fail(&self, position: u64, fault: LedgerFault) -> io::Error {
        let why = format!("applying position {position}: {fault}");
        if fault.ends_with_restart() {
            self.state.fail(&why);
        } else {
            self.state.fail_as_broken(&why);
        }
        io::Error::other(fault)
    }
}

impl RaftStateMachine<EngineTypes> for StateMachine {
    type SnapshotData = ();
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<EngineTypes>, io::Error>> + Unpin + Send,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let decided = match self.apply_one(&entry).await {
                Ok(decided) => decided,
                Err(error) => {
                    self.state
                        .fail(&format!("applying position {}: {error}", entry.log_id.index()));
                    return Err(error);
                }
            };
            if let Some(responder) = responder {
                responder.send(decided);
            }
            self.pause_after_work().await;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMetaOf<EngineTypes>,
        _snapshot: (),
    ) -> Result<(), io::Error> {
        Err(no_snapshots())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<EngineTypes, ()>>, io::Error> {
        Ok(None)
    }
}

/// The journal is kept whole, so snapshots have no use.
pub struct NoSnapshots;

fn no_snapshots() -> io::Error {
    io::Error::other("there are no snapshots: the journal is kept whole")
}

impl RaftSnapshotBuilder<EngineTypes> for NoSnapshots {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<EngineTypes, ()>, io::Error> {
        Err(no_snapshots())
    }
}
