//! What a client was told is what the journal says: acknowledged ⊆ journal, with that outcome; each id has one effect at the most,
//! and every retry gets its first answer. What certainly wasn't done is nowhere. Who asked later is decided later.

use std::collections::BTreeMap;

use bytes::Bytes;
use evenkeel_wire::{
    codec,
    command::Command,
    id::{CommandId, NodeId},
    outcome::{Answer, Rejection, Stamp},
};

use super::CheckResult;
use crate::simulation::{checks::model::LedgerModel, world::workload::told_failed};

/// One acknowledged command.
#[derive(Clone, Debug)]
pub struct AcknowledgedCommand {
    pub node: NodeId,
    /// The command as it was sent.
    pub command: Bytes,
    pub answer: Answer,
    /// It was asked for together with others: all or none.
    pub atomic: bool,
    /// Where the reply says that the entry is.
    pub stamp: Stamp,
    /// The newest position that was acknowledged before the command was sent for the first time.
    pub floor: Option<u64>,
}

impl AcknowledgedCommand {
    /// Where the command was decided.
    fn decided_at(&self) -> Stamp {
        self.answer.first.unwrap_or(self.stamp)
    }
}

#[derive(Default)]
pub struct Acknowledgements {
    waiting: Vec<AcknowledgedCommand>,
    never: BTreeMap<CommandId, Bytes>,
    pub checked: u64,
    pub replays: u64,
    pub reuses: u64,
    pub failed: u64,
}

impl Acknowledgements {
    pub fn add_answer(&mut self, told: AcknowledgedCommand) {
        self.waiting.push(told);
    }

    /// Every attempt at this command was refused as certainly not done, and it was given up.
    pub fn add_refused(&mut self, id: CommandId, command: Bytes) {
        self.never.insert(id, command);
    }

    /// Compares with the chain, as far as it's known.
    ///
    /// # Errors
    /// When a client was told something else.
    pub fn compare(&mut self, model: &LedgerModel, known: u64) -> CheckResult {
        let is_due = |told: &AcknowledgedCommand| {
            told.stamp.position < known && told.decided_at().position < known
        };
        let (due, rest) = std::mem::take(&mut self.waiting).into_iter().partition(is_due);
        self.waiting = rest;
        for told in due {
            self.check(model, &told)
                .map_err(|why| format!("acknowledged: {why}; node {} told {told:?}", told.node))?;
            self.checked += 1;
        }
        Ok(())
    }

    fn check(&mut self, model: &LedgerModel, told: &AcknowledgedCommand) -> CheckResult {
        let command: Command = codec::decode(&told.command).map_err(|error| error.to_string())?;
        match command {
            Command::Genesis(_) => Ok(()),
            Command::OpenAccount(open) => {
                let (position, same) =
                    model.find_opening(&open).ok_or("the account isn't there")?;
                let expected = (!same).then_some(Rejection::AccountExists);
                if told.answer.outcome.rejection != expected {
                    return Err(format!("it should have been {expected:?}"));
                }
                if same && told.decided_at().position != position {
                    return Err(format!("the account was opened at {position}"));
                }
                Ok(())
            }
            other => {
                let id = other.id().ok_or("clients send no such command")?;
                self.check_first(model, told, id)
            }
        }
    }

    /// Whoever asks for all or nothing is told so, and the journal agrees.
    fn check_failed(model: &LedgerModel, told: &AcknowledgedCommand, id: CommandId) -> CheckResult {
        let (position, rejection) = (told.stamp.position, told.answer.outcome.rejection);
        let agreed = model.failed_in(position, id);
        if rejection.is_some_and(|rejection| agreed.contains(&rejection)) {
            return Ok(());
        }
        Err(format!("its atomic group came to {agreed:?}"))
    }

    fn check_first(
        &mut self,
        model: &LedgerModel,
        told: &AcknowledgedCommand,
        id: CommandId,
    ) -> CheckResult {
        let outcome = told.answer.outcome;
        if told.atomic && told_failed(&told.answer) {
            self.failed += 1;
            return Self::check_failed(model, told, id);
        }
        let (bytes, verdict) = match (model.first_verdict(id), outcome.rejection) {
            (Some(first), _) => first,
            (None, Some(Rejection::IdInFuture | Rejection::IdExpired)) => return Ok(()),
            (None, _) => return Err("its id isn't in the journal".into()),
        };
        if bytes != &told.command[..] {
            self.reuses += 1;
            return match outcome.rejection {
                Some(Rejection::IdReused) if verdict.position <= told.stamp.position => Ok(()),
                // Decided before the id was taken by the other content: that one must be refused, then.
                _ => Err(format!("its id was taken by other content at {}", verdict.position)),
            };
        }
        let decided = told.decided_at();
        let same = decided.position == verdict.position
            && outcome.rejection == verdict.rejection
            && (outcome.debit_after, outcome.credit_after)
                == (verdict.debit_after, verdict.credit_after);
        if !same {
            return Err(format!("the journal says {verdict:?}"));
        }
        if told.answer.first.is_some() {
            self.replays += 1;
        }
        if Some(decided.position) < told.floor {
            return Err(format!(
                "it was sent after position {:?} had been acknowledged",
                told.floor
            ));
        }
        Ok(())
    }

    /// At the end, when the whole chain is known.
    ///
    /// # Errors
    /// When something acknowledged is missing, or something refused is there.
    pub fn check_at_end(&self, model: &LedgerModel) -> CheckResult {
        if let Some(told) = self.waiting.first() {
            return Err(format!("acknowledged: lost: node {} told {told:?}", told.node));
        }
        for (id, command) in &self.never {
            if model.first_verdict(*id).is_some_and(|(bytes, _)| bytes == &command[..]) {
                return Err(format!(
                    "acknowledged: {id} was refused as certainly not done, and is in the journal"
                ));
            }
        }
        Ok(())
    }
}
