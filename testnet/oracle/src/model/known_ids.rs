//! Exactly once: an id's first decision is its decision for ever.

use std::sync::Arc;

use evenkeel_wire::{
    command::Command,
    id::CommandId,
    outcome::{Outcome, Rejection},
};

use super::{Decision, Effect, Judgement, Model, Moment, again, committed, new, rejected};

/// What an id was first decided as.
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
                again(first.position, first.outcome)
            } else {
                new(rejected(at.index, Rejection::IdReused))
            };
        }
        let outcome = match self.judge_and_do(at, id, command) {
            Ok(effect) => committed(at.index, effect),
            Err(rejection) => rejected(at.index, rejection),
        };
        if outcome.rejection.is_none_or(is_recorded) {
            let (position, content) = (at.position, content.clone());
            self.firsts.insert(id, Arc::new(FirstDecision { position, content, outcome }));
        }
        new(outcome)
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

    /// What an id was first decided as.
    #[must_use]
    pub fn first_decision(&self, id: CommandId) -> Option<&FirstDecision> {
        self.firsts.get(&id).map(|first| &**first)
    }
}

/// What says something of the id itself leaves the id free.
fn is_recorded(rejection: Rejection) -> bool {
    use Rejection::{BatchFailed, IdExpired, IdInFuture, IdReused};
    ![IdReused, IdInFuture, IdExpired, BatchFailed].contains(&rejection)
}
