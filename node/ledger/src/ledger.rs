//! The ledger as a whole: the tables, and the checkpoint and the audit that are running.

use evenkeel_wire::outcome::Answer;

use crate::{
    checkpoint::{
        audit::{Audit, AuditProgress},
        digest,
        load::CheckpointLoader,
        rows::{CheckpointMarker, CheckpointRow},
        write::{self, CheckpointHead, RunningCheckpoint},
    },
    containers::{ids::HashSeed, memory::MemoryAdvice},
    entry::{
        apply::{self, AppliedCounts},
        lookups,
    },
    fault::LedgerFault,
    journal::{EntryHead, JournalLookup, NeededLookup},
    tables::{Tables, recent::ForgottenOutcomes},
};

/// All replicated state.
pub struct Ledger {
    pub(crate) tables: Tables,
    checkpoint: Option<RunningCheckpoint>,
    audit: Audit,
    fault: Option<LedgerFault>,
}

impl Ledger {
    /// An empty ledger, before genesis.
    #[must_use]
    pub fn new(advice: MemoryAdvice) -> Self {
        Self::with_tables(Tables::new(HashSeed::random(), advice))
    }

    pub(crate) fn with_tables(tables: Tables) -> Self {
        Self { tables, checkpoint: None, audit: Audit::default(), fault: None }
    }

    /// Why the ledger refuses further entries, if it does.
    #[must_use]
    pub fn fault(&self) -> Option<&LedgerFault> {
        self.fault.as_ref()
    }

    /// Applies one entry and appends one answer per command to `answers`.
    ///
    /// # Errors
    /// When an invariant is broken. The entry may be half applied then: the ledger refuses all
    /// further entries, and the node must stop.
    pub fn apply(
        &mut self,
        head: &EntryHead,
        body: &[u8],
        journal: &mut dyn JournalLookup,
        answers: &mut Vec<Answer>,
    ) -> Result<AppliedCounts, LedgerFault> {
        self.check_fault()?;
        let before = answers.len();
        let result = apply::apply_entry(&mut self.tables, head, body, journal, answers);
        if result.is_err() {
            answers.truncate(before);
        }
        self.keep_fault(result)
    }

    /// The lookups outside of memory that the next entry, with this body, may need. They can be
    /// made before it's applied, on any thread: what is found never changes.
    #[must_use]
    pub fn find_lookups(&self, body: &[u8]) -> Vec<NeededLookup> {
        let mut needed = Vec::new();
        lookups::find_lookups(&self.tables, body, &mut needed);
        needed
    }

    /// Passes an entry without commands: only the position advances.
    ///
    /// # Errors
    /// When it isn't the next one, or the ledger has a fault.
    pub fn skip_entry(&mut self, head: &EntryHead) -> Result<(), LedgerFault> {
        self.check_fault()?;
        let result = apply::advance_to(&mut self.tables, head);
        self.keep_fault(result)
    }

    /// Forgets recent ids through this position, whose entries must be in sealed segments with
    /// usable indexes. Only whole generations are forgotten, never the newest. Dropping the result
    /// takes milliseconds: do it outside of the ledger's lock.
    #[must_use = "drop it outside of the ledger's lock"]
    pub fn forget_through(&mut self, position: u64) -> ForgottenOutcomes {
        self.tables.recent.forget_through(position)
    }

    /// The digest of all replicated state: equal on all nodes at the same position.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest::ledger_digest(&self.tables)
    }

    /// Begins a checkpoint: of all rows, or of those that changed since the last finished one.
    /// After a checkpoint that wasn't written, and after a start without one, it's always all. One
    /// that is still running counts as not written. `None`: nothing was applied yet, or the ledger
    /// has a fault.
    pub fn checkpoint_begin(&mut self, all: bool) -> Option<CheckpointHead> {
        if self.fault.is_some() {
            return None;
        }
        let (head, running) = write::begin(&mut self.tables, all)?;
        self.checkpoint = Some(running);
        Some(head)
    }

    /// Copies the next rows of the running checkpoint; visits at most `rows_max` rows. Returns
    /// whether there are more.
    pub fn checkpoint_next(&mut self, rows_max: usize, out: &mut Vec<CheckpointRow>) -> bool {
        let Some(running) = &mut self.checkpoint else { return false };
        running.copy_next(&mut self.tables, rows_max, out)
    }

    /// Ends a checkpoint. Unless it was copied to its end and written, the next one consists of
    /// all rows.
    pub fn checkpoint_end(&mut self, written: bool) {
        if let Some(running) = self.checkpoint.take() {
            running.end(&mut self.tables, written);
        }
    }

    /// Audits the next rows; begins anew after the last.
    ///
    /// # Errors
    /// When the rows don't match the running sums: names the account, or the asset and its sum.
    pub fn audit_next(&mut self, rows_max: usize) -> Result<AuditProgress, LedgerFault> {
        self.check_fault()?;
        let result = self.audit.check_next(&mut self.tables, rows_max);
        self.keep_fault(result)
    }

    #[inline]
    fn check_fault(&self) -> Result<(), LedgerFault> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    fn keep_fault<T>(&mut self, result: Result<T, LedgerFault>) -> Result<T, LedgerFault> {
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
        }
        result
    }
}

impl CheckpointLoader {
    /// The ledger, after all rows were put.
    ///
    /// # Errors
    /// When the rows don't match the marker.
    pub fn finish(self, marker: &CheckpointMarker) -> Result<Ledger, String> {
        self.finish_tables(marker).map(Ledger::with_tables)
    }
}
