//! Clients' answers against whole entries. An acknowledged command is in the journal with that
//! outcome; every retry gets the first answer; a command that was refused as certainly not done
//! isn't there. An unknown command may be in the journal or not: nothing is demanded of it.

use std::collections::BTreeMap;

use evenkeel_wire::{
    codec,
    command::Command,
    id::{CommandId, NodeId},
    outcome::{Answer, Outcome, Rejection, Stamp},
};

use crate::{
    journal::{DecidedCommand, JournalModel},
    mismatch::Mismatch,
};

/// One acknowledged command.
#[derive(Clone, Debug)]
pub struct AcknowledgedCommand {
    /// The node that answered.
    pub node: NodeId,
    /// The command as it was sent.
    pub command: Vec<u8>,
    pub answer: Answer,
    /// It was sent in an atomic group.
    pub atomic: bool,
    /// The entry that the reply names.
    pub stamp: Stamp,
    /// The newest position that was acknowledged before the command was sent for the first time.
    pub floor: Option<u64>,
}

impl AcknowledgedCommand {
    fn decided_at(&self) -> u64 {
        self.answer.first.unwrap_or(self.stamp).position
    }
}

/// Whether an answer says that the command's atomic group failed.
#[must_use]
pub fn says_group_failed(answer: &Answer) -> bool {
    answer.outcome.rejection.is_some() && answer.outcome.index == Outcome::NO_INDEX
}

/// How many answers were compared, and how many of them were of these kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    pub checked: u64,
    /// Replays of a first answer.
    pub replays: u64,
    /// Rejections of a known id with other content.
    pub reuses: u64,
    /// Commands of failed atomic groups.
    pub failed: u64,
}

/// All answers to clients that are to be compared.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    waiting: Vec<AcknowledgedCommand>,
    not_done: BTreeMap<CommandId, Vec<u8>>,
    counts: AnswerCounts,
}

impl Acknowledgements {
    /// A client got this answer.
    pub fn add_answer(&mut self, acknowledged: AcknowledgedCommand) {
        self.waiting.push(acknowledged);
    }

    /// Every attempt at this command was refused as certainly not done, and it was given up.
    pub fn add_refused(&mut self, id: CommandId, command: Vec<u8>) {
        self.not_done.insert(id, command);
    }

    #[must_use]
    pub fn counts(&self) -> AnswerCounts {
        self.counts
    }

    /// Compares the answers from entries that are known: those at positions below `known`.
    ///
    /// # Errors
    /// When the journal says something else.
    pub fn compare(&mut self, journal: &JournalModel, known: u64) -> Result<(), Mismatch> {
        let is_due =
            |one: &AcknowledgedCommand| one.stamp.position < known && one.decided_at() < known;
        let (due, rest) = std::mem::take(&mut self.waiting).into_iter().partition(is_due);
        self.waiting = rest;
        for one in due {
            check_answer(journal, &one).map_err(|why| {
                Mismatch::new(format!("acknowledged: {why}; node {} answered {one:?}", one.node))
            })?;
            self.count_answer(&one);
        }
        Ok(())
    }

    fn count_answer(&mut self, one: &AcknowledgedCommand) {
        self.counts.checked += 1;
        if one.atomic && says_group_failed(&one.answer) {
            self.counts.failed += 1;
        } else if one.answer.outcome.rejection == Some(Rejection::IdReused) {
            self.counts.reuses += 1;
        } else if one.answer.first.is_some() {
            self.counts.replays += 1;
        }
    }

    /// Checks what only the whole journal can show.
    ///
    /// # Errors
    /// When something acknowledged is missing, or something refused is there.
    pub fn check_at_end(&self, journal: &JournalModel) -> Result<(), Mismatch> {
        if let Some(lost) = self.waiting.first() {
            let node = lost.node;
            return Err(Mismatch::new(format!(
                "acknowledged: lost: node {node} answered {lost:?}"
            )));
        }
        for (id, command) in &self.not_done {
            let first = journal.model().first_decision(*id);
            if first.is_some_and(|first| *first.content == command[..]) {
                return Err(Mismatch::new(format!(
                    "acknowledged: {id} was refused as certainly not done, and is in the journal"
                )));
            }
        }
        Ok(())
    }
}

/// Whether the entry that an answer names as its first has decided this command so.
fn is_repeat(journal: &JournalModel, one: &AcknowledgedCommand) -> bool {
    let Some(first) = one.answer.first else { return false };
    journal.decided_at(first.position).iter().any(|decided| {
        *decided.content == one.command[..]
            && decided.decision.first.is_none()
            && decided.decision.outcome == one.answer.outcome
    })
}

/// The entry that the reply names must have decided just this; or it's a repeat, which needs no
/// entry: then the entry of its first answer must have decided it. It must not lie before an entry
/// that was acknowledged before the command was sent.
fn check_answer(journal: &JournalModel, one: &AcknowledgedCommand) -> Result<(), Mismatch> {
    let command: Command =
        codec::decode(&one.command).map_err(|error| Mismatch::new(error.to_string()))?;
    if command.is_made_by_nodes() {
        return Err(Mismatch::new("clients send no such command"));
    }
    let in_entry = journal.decided_at(one.stamp.position).iter();
    let same_command = |decided: &&DecidedCommand| {
        decided.atomic == one.atomic && *decided.content == one.command[..]
    };
    let expected: Vec<_> = in_entry.filter(same_command).map(|found| found.decision).collect();
    let first = one.answer.first.map(|stamp| stamp.position);
    let agrees = expected
        .iter()
        .any(|decision| (decision.outcome, decision.first) == (one.answer.outcome, first));
    if !agrees && !is_repeat(journal, one) {
        return Err(Mismatch::new(format!("the journal says {expected:?}")));
    }
    if Some(one.decided_at()) < one.floor {
        return Err(Mismatch::new(format!(
            "it was sent after position {:?} had been acknowledged",
            one.floor
        )));
    }
    Ok(())
}
