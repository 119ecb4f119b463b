//! Observes what sites send each other, what they apply and what clients are answered. The first
//! broken promise ends the run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use evenkeel_node::{history::record_kind, replay::recovery::RecoveryReport, state::AppliedState};
use evenkeel_oracle::{acknowledged::Acknowledgements, journal::JournalModel};
use evenkeel_storage::journal::{Journal, Record, Tip};
use evenkeel_wire::{
    codec,
    frame::Frame,
    id::NodeId,
    peer::{self, AppendReply, AppendResult},
};

use super::{
    invariants::{
        CheckResult, chain::Chain, checkpoint, durable::Durability, money::Money,
        one_primary::OnePrimary, reads::Reads, time::LedgerTime, upkeep,
    },
    trace::Trace,
};

/// The observer of one run.
pub struct Watch {
    trace: Arc<Trace>,
    inner: Mutex<WatchState>,
}

/// Everything that was observed.
#[derive(Default)]
pub struct WatchState {
    broken: Option<String>,
    pub primaries: OnePrimary,
    pub chain: Chain,
    pub journal: JournalModel,
    pub acknowledged: Acknowledgements,
    pub durable: Durability,
    pub money: Money,
    pub reads: Reads,
    pub time: LedgerTime,
    seen: BTreeMap<NodeId, ObservedLife>,
    /// How often a site's newest record was gone or replaced at the next look.
    pub truncations: u64,
    /// How many disks were rolled back.
    pub rollbacks: u64,
    /// How many weren't, because no other site remembered what would be forgotten.
    pub unremembered: u64,
    /// How often a site had applied more than its own disk holds.
    pub applied_ahead_of_disk: u64,
}

/// What was observed of a site's current life.
#[derive(Default)]
struct ObservedLife {
    applied: Option<u64>,
    tip: Option<Tip>,
    time: u64,
}

impl Watch {
    #[must_use]
    pub fn new(trace: Arc<Trace>) -> Arc<Self> {
        Arc::new(Self { trace, inner: Mutex::default() })
    }

    /// Everything that was observed.
    pub fn lock_state(&self) -> MutexGuard<'_, WatchState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a broken promise and logs the first one.
    pub fn report_broken(&self, what: String) {
        let mut inner = self.lock_state();
        if inner.broken.is_none() {
            inner.broken = Some(what.clone());
            drop(inner);
            self.trace.log_line(&format!("BROKEN: {what}"));
        }
    }

    /// The first broken promise.
    pub fn first_broken(&self) -> Option<String> {
        self.lock_state().broken.clone()
    }

    /// Records a broken promise, if the check found one.
    pub fn report_if_broken(&self, held: CheckResult) {
        if let Err(what) = held {
            self.report_broken(what);
        }
    }

    /// Checks a frame that a site sends.
    pub fn check_frame(&self, from: NodeId, to: NodeId, frame: &Frame) {
        let held = match frame.kind {
            peer::APPEND => match codec::decode_prefix::<peer::AppendHead>(&frame.body) {
                Ok((head, _)) => {
                    if head.vote.committed && head.vote.node == from {
                        self.lock_state().primaries.check_speaker(head.vote.term, from)
                    } else {
                        Err(format!("node {from} appends to {to} with the vote {:?}", head.vote))
                    }
                }
                Err(error) => {
                    Err(format!("node {from} sends a frame that can't be decoded: {error}"))
                }
            },
            peer::APPENDED => match codec::decode::<AppendReply>(&frame.body) {
                Ok(AppendReply { result: AppendResult::Durable(Some(id)), .. }) => {
                    self.lock_state().durable.check_appended(from, id.position)
                }
                Ok(AppendReply { result: AppendResult::LinkMismatch(id), .. }) => {
                    Err(format!("node {from} and node {to} have different links at {id:?}"))
                }
                Ok(_) => Ok(()),
                Err(error) => {
                    Err(format!("node {from} sends a reply that can't be decoded: {error}"))
                }
            },
            _ => Ok(()),
        };
        self.report_if_broken(held);
    }

    /// A site has recovered and starts a new life.
    pub fn started(&self, node: NodeId, report: &RecoveryReport, journal: &Journal) {
        let mut inner = self.lock_state();
        inner.durable.opened(node, journal.clone());
        inner.seen.insert(node, ObservedLife::default());
        let last = journal.newest_tip().map(|tip| tip.position);
        drop(inner);
        self.report_if_broken(checkpoint::check_start(node, report, last));
    }

    /// A site's life is over.
    pub fn died(&self, node: NodeId) {
        self.lock_state().durable.died(node);
    }

    /// Checks what a running site has applied since the last look.
    pub fn check_site(&self, node: NodeId, journal: &Journal, state: &AppliedState) {
        let held = self.lock_state().check_site(node, journal, state);
        self.report_if_broken(held);
    }
}

impl WatchState {
    /// The first broken promise.
    pub fn first_broken(&self) -> Option<String> {
        self.broken.clone()
    }

    /// Records a broken promise, if the check found one, where the state is already locked.
    pub fn add_check(&mut self, held: CheckResult) {
        if let Err(what) = held {
            self.broken.get_or_insert(what);
        }
    }

    fn check_site(&mut self, node: NodeId, journal: &Journal, state: &AppliedState) -> CheckResult {
        let seen = self.seen.entry(node).or_default();
        let (before, tip_before) = (seen.applied, seen.tip);
        seen.tip = journal.newest_tip();
        if let Some(old) = tip_before
            && journal.tip_at(old.position).ok().flatten().is_none_or(|now| now.link != old.link)
        {
            self.truncations += 1;
        }
        let Some(applied) = state.position() else { return Ok(()) };
        if Some(applied) > journal.durable_position() {
            self.applied_ahead_of_disk += 1;
        }
        if Some(applied) < before {
            return Err(format!("chain: node {node} went back from {before:?} to {applied}"));
        }
        self.extend_chain(node, journal, before.map_or(0, |position| position + 1), applied)?;
        let (place, digest, totals, time) = state.with_ledger(|ledger| {
            (ledger.position(), ledger.digest(), ledger.totals(), ledger.time())
        });
        let seen = self.seen.entry(node).or_default();
        seen.applied = Some(applied);
        if time < seen.time {
            return Err(format!(
                "time: node {node}'s ledger went back from {} to {time}",
                seen.time
            ));
        }
        seen.time = time;
        self.money.check_totals(node, &totals)?;
        for account in crate::simulation::world::workload::accounts() {
            let view = state.with_ledger(|ledger| ledger.account(account));
            let posted = view.as_ref().map(|view| view.posted);
            self.money.check_balance(self.journal.model(), node, applied, account, posted)?;
            if applied + 1 == self.chain.len() {
                self.money.check_account(self.journal.model(), node, account, view.as_ref())?;
            }
        }
        if let Some(position) = place {
            self.money.check_digest(node, position, digest)?;
        }
        for (position, digest) in state.digests() {
            self.money.check_digest(node, position, digest)?;
        }
        Ok(())
    }

    /// Adds what a site has applied to the chain.
    fn extend_chain(
        &mut self,
        node: NodeId,
        journal: &Journal,
        first: u64,
        last: u64,
    ) -> CheckResult {
        let mut next = first;
        while next <= last {
            let records = journal
                .read(next, last + 1, 4 << 20)
                .map_err(|error| format!("chain: node {node} can't read {next}: {error}"))?;
            let Some(newest) = records.last() else {
                return Err(format!("chain: node {node} applied {last}, its journal lacks {next}"));
            };
            next = newest.position + 1;
            for record in &records {
                if self.chain.add_applied(node, record)? {
                    self.time.check_next(record)?;
                    if record.kind == record_kind::COMMANDS {
                        let Record { position, time, payload, .. } = &**record;
                        self.journal.apply_entry(*position, *time, payload)?;
                        upkeep::check_entry(self.journal.model(), record)?;
                    }
                }
            }
        }
        let known = self.chain.len();
        self.acknowledged.compare(&self.journal, known)?;
        self.reads.compare(self.journal.model(), known)
    }

    /// Reads a site's whole journal again, from its disk where it isn't in memory.
    ///
    /// # Errors
    /// When any of it differs from the chain.
    pub fn check_journal(&mut self, node: NodeId, journal: &Journal, applied: u64) -> CheckResult {
        self.extend_chain(node, journal, 0, applied)
    }
}
