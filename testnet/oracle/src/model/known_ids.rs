//! Exactly once: the first decision on an id is final.

use std::sync::Arc;

use evenkeel_wire::{
    command::Command,
    id::CommandId,
    outcome::{Outcome, Rejection},
};

use super::{Decision, Effect, Judgement, Model, Moment, committed_outcome, rejected_outcome};

/// The first decision on an id.
#[derive(Clone, Debug)]
pub struct FirstDecision {
    pub position: u64,
    /// The command's bytes.
    pub content: Arc<[u8]>,
    pub outcome: Outcome,
}

impl Model {
    /// Decides a command with an id. A known id with the same content is a replay.
    pub(crate) fn decide(
        &mut self,
        at: Moment,
        id: CommandId,
        command: &Command,
        content: &Arc<[u8]>,
    ) -> Decision {
        if let Some(first) = self.firsts.get(&id) {
            return if first.content == *content {
                Decision::replay(first.position, first.outcome)
            } else {
                Decision::first(rejected_outcome(at.index, Rejection::IdReused))
            };
        }
        let outcome = match self.judge_and_do(at, id, command) {
            Ok(effect) => committed_outcome(at.index, effect),
            Err(rejection) => rejected_outcome(at.index, rejection),
        };
        if outcome.rejection.is_none_or(is_recorded) {
            let (position, content) = (at.position, content.clone());
            self.firsts.insert(id, Arc::new(FirstDecision { position, content, outcome }));
        }
        Decision::first(outcome)
    }

    fn judge_and_do(&mut self, at: Moment, id: CommandId, command: &Command) -> Judgement<Effect> {
        self.check_age(at.time, id)?;
        match command {
            Command::Transfer(transfer) => self.transfer(at, transfer),
            Command::Hold(hold) => self.hold(at, hold),
            Command::Capture(capture) => self.capture(at, *capture),
            Command::Void(void) => self.void(at, *void),
            Command::Refund(refund) => self.refund(at, refund),
            Command::Reversal(reversal) => self.reverse(at, reversal),
            Command::SetStatus(change) => self.set_status(change.account, change.status),
            Command::SetLimits(change) => self.set_limits(change.account, &change.limits),
            other => unreachable!("`apply` decides commands without an id: {other:?}"),
        }
    }

    fn check_age(&self, time: u64, id: CommandId) -> Judgement<()> {
        let (made, rules) = (id.timestamp_ms(), self.rules());
        if made > (time / 1_000).saturating_add(rules.id_tolerance_ms) {
            return Err(Rejection::IdInFuture);
        }
        if made.saturating_add(rules.id_horizon_ms) < time.div_ceil(1_000) {
            return Err(Rejection::IdExpired);
        }
        Ok(())
    }

    /// The first decision on an id.
    #[must_use]
    pub fn first_decision(&self, id: CommandId) -> Option<&FirstDecision> {
        self.firsts.get(&id).map(|first| &**first)
    }
}

/// A rejection of the id itself isn't recorded: the id stays free.
fn is_recorded(rejection: Rejection) -> bool {
    use Rejection::{BatchFailed, IdExpired, IdInFuture, IdReused};
    ![IdReused, IdInFuture, IdExpired, BatchFailed].contains(&rejection)
}
