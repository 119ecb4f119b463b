//! The callers of one connection as rows of a table: a task per caller would cost more than the
//! measured work.

use evenkeel_wire::{frame, outcome::Answer, request::Submit};
use tokio::time::Instant;

use super::{
    BenchPlan,
    batch::{Random, TransferBatch},
    figures::Tally,
};
use crate::Failure;

/// The deadline on the fast road; after it the request is retried with the same ids.
const DEADLINE_MS: u32 = 20_000;

pub(crate) struct CallerTable<'a> {
    plan: &'a BenchPlan,
    random: Random,
    callers: Vec<CallerState>,
    busy: usize,
}

enum CallerState {
    Idle,
    /// The batch is in flight on the connection.
    Waits(TransferBatch),
    /// The batch is being retried outside the connection.
    Elsewhere,
    /// No work is left.
    Done,
}

impl<'a> CallerTable<'a> {
    pub(crate) fn new(plan: &'a BenchPlan, callers: usize) -> Result<Self, Failure> {
        let callers = (0..callers).map(|_| CallerState::Idle).collect();
        Ok(Self { plan, random: Random::new()?, callers, busy: 0 })
    }

    /// Whether no caller has a batch in flight or work left.
    pub(crate) fn is_done(&self) -> bool {
        self.busy == 0 && self.callers.iter().all(|caller| matches!(caller, CallerState::Done))
    }

    /// Gives each idle caller its next batch.
    pub(crate) fn start_idle(&mut self, outgoing: &mut Vec<u8>) {
        for caller in 0..self.callers.len() {
            if matches!(self.callers[caller], CallerState::Idle) {
                self.start(caller, outgoing);
            }
        }
    }

    fn start(&mut self, caller: usize, outgoing: &mut Vec<u8>) {
        let Some(mut batch) = TransferBatch::next(self.plan, &mut self.random) else {
            self.callers[caller] = CallerState::Done;
            return;
        };
        let at = Submit::start(number_of(caller), DEADLINE_MS, batch.count(), false, outgoing);
        batch.encode_into(self.plan, outgoing);
        frame::finish(outgoing, at);
        // The latency measurement starts when the request is ready to send.
        batch.started = Instant::now();
        self.callers[caller] = CallerState::Waits(batch);
        self.busy += 1;
    }

    /// Takes the batch that this reply answers.
    pub(crate) fn take_batch(&mut self, number: u64) -> Result<(usize, TransferBatch), Failure> {
        let caller = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let known = caller.filter(|caller| {
            self.callers.get(*caller).is_some_and(|caller| matches!(caller, CallerState::Waits(_)))
        });
        let Some(caller) = known else {
            return Err(Failure::failed(format!(
                "the site answered request {number}, which isn't in flight"
            )));
        };
        match std::mem::replace(&mut self.callers[caller], CallerState::Elsewhere) {
            CallerState::Waits(batch) => Ok((caller, batch)),
            _ => unreachable!("checked above"),
        }
    }

    /// Takes all batches in flight: their replies won't arrive.
    pub(crate) fn take_all(&mut self) -> Vec<(usize, TransferBatch)> {
        let waiting = self.callers.iter_mut().enumerate().filter_map(|(number, caller)| {
            match std::mem::replace(caller, CallerState::Elsewhere) {
                CallerState::Waits(batch) => Some((number, batch)),
                other => {
                    *caller = other;
                    None
                }
            }
        });
        waiting.collect()
    }

    /// Records the answers of a caller's batch and frees the caller.
    pub(crate) fn settle_batch(
        &mut self,
        caller: usize,
        batch: &TransferBatch,
        answers: &[Answer],
        now: Instant,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        if answers.len() != batch.moves.len() {
            return Err(Failure::failed(format!(
                "{} outcomes for {} transfers",
                answers.len(),
                batch.moves.len()
            )));
        }
        tally.record_batch(batch, answers.iter().map(|answer| answer.outcome.rejection), now);
        self.free(caller);
        Ok(())
    }

    /// Frees the caller of a batch that is given up.
    pub(crate) fn free(&mut self, caller: usize) {
        self.callers[caller] = CallerState::Idle;
        self.busy -= 1;
    }
}

/// Request number 0 belongs to HELLO.
fn number_of(caller: usize) -> u64 {
    u64::try_from(caller).expect("a small number") + 1
}
