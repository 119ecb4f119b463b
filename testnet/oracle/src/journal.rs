//! Whole entries: the model of a journal, and what each entry decided.

use std::{collections::BTreeMap, sync::Arc};

use evenkeel_wire::{
    command::{Command, Commands},
    entry::{EntryBody, Group},
    outcome::{Outcome, Rejection},
};

use crate::{
    mismatch::Mismatch,
    model::{Decision, EffectCounts, Model, Moment, rejected_outcome},
};

/// An entry's decision on one command.
#[derive(Clone, Debug)]
pub struct DecidedCommand {
    /// The command's bytes.
    pub content: Arc<[u8]>,
    /// Its group was all or nothing.
    pub atomic: bool,
    pub decision: Decision,
}

/// The model, fed with whole entries from genesis on.
#[derive(Debug, Default)]
pub struct JournalModel {
    model: Model,
    decided: BTreeMap<u64, Vec<DecidedCommand>>,
    groups_committed: u64,
    groups_failed: u64,
}

/// A command and its bytes.
type EncodedCommand = (Command, Arc<[u8]>);

impl JournalModel {
    /// Applies an entry's commands.
    ///
    /// # Errors
    /// When they can't be decoded, or an entry may not hold them so.
    pub fn apply_entry(&mut self, position: u64, time: u64, body: &[u8]) -> Result<(), Mismatch> {
        let mut entry = EntryBody::open(body).map_err(|error| entry_mismatch(position, &error))?;
        let mut groups = Vec::new();
        while let Some(group) =
            entry.next_group().map_err(|error| entry_mismatch(position, &error))?
        {
            groups.push((group.atomic, decode_commands(position, &group)?));
        }
        let is_alone = groups.iter().map(|(_, commands)| commands.len()).sum::<usize>() == 1;
        let mut next = Moment { position, index: 0, time };
        for (atomic, commands) in &groups {
            let ends_day = |(command, _): &EncodedCommand| matches!(command, Command::CloseDay(_));
            if !is_alone && commands.iter().any(ends_day) {
                return Err(entry_mismatch(position, &"a day's end isn't alone in its entry"));
            }
            if *atomic {
                self.apply_together(&mut next, commands)?;
            } else {
                for command in commands {
                    let decision = self.apply_one(&mut next, command)?;
                    self.record_decision(position, false, command, decision);
                }
            }
        }
        Ok(())
    }

    fn apply_one(
        &mut self,
        next: &mut Moment,
        (command, content): &EncodedCommand,
    ) -> Result<Decision, Mismatch> {
        let decision = self.model.apply_encoded(*next, command, content)?;
        next.index += u16::from(decision.takes_index());
        Ok(decision)
    }

    /// All are committed, or the state is as before and all are known to have failed: the first
    /// rejected command has its own code, all others `batch_failed`, none an index.
    fn apply_together(
        &mut self,
        next: &mut Moment,
        commands: &[EncodedCommand],
    ) -> Result<(), Mismatch> {
        let before = (self.model.clone(), *next);
        let mut decisions = Vec::new();
        let mut failed = None;
        for (command, number) in commands.iter().zip(0_usize..) {
            if command.0.is_made_by_nodes() {
                return Err(entry_mismatch(
                    next.position,
                    &format!("{:?} in an atomic group", command.0),
                ));
            }
            let decision = self.apply_one(next, command)?;
            if let Some(why) = decision.outcome.rejection {
                failed = Some((number, why));
                break;
            }
            decisions.push(decision);
        }
        if let Some((failing, why)) = failed {
            (self.model, *next) = before;
            let fail = |number| if number == failing { why } else { Rejection::BatchFailed };
            let numbers = 0..commands.len();
            decisions = numbers
                .map(|n| Decision::first(rejected_outcome(Outcome::NO_INDEX, fail(n))))
                .collect();
            self.groups_failed += 1;
        } else {
            self.groups_committed += 1;
        }
        for (command, decision) in commands.iter().zip(decisions) {
            self.record_decision(next.position, true, command, decision);
        }
        Ok(())
    }

    fn record_decision(
        &mut self,
        position: u64,
        atomic: bool,
        command: &EncodedCommand,
        decision: Decision,
    ) {
        let decided = DecidedCommand { content: command.1.clone(), atomic, decision };
        self.decided.entry(position).or_default().push(decided);
    }

    /// The state after the newest entry.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the entry at a position decided, one for each command, in order.
    #[must_use]
    pub fn decided_at(&self, position: u64) -> &[DecidedCommand] {
        self.decided.get(&position).map_or(&[], Vec::as_slice)
    }

    /// The counts as text.
    #[must_use]
    pub fn describe_counts(&self) -> String {
        let EffectCounts { captured, voided, expired, returned } = self.model.counts();
        let (committed, failed) = (self.groups_committed, self.groups_failed);
        format!(
            "holds: {captured} captured, {voided} given back, {expired} expired; {returned} \
             refunds and reversals; atomic groups: {committed} committed, {failed} failed; \
             the day is {:?}",
            self.model.date()
        )
    }
}

fn decode_commands(position: u64, group: &Group<'_>) -> Result<Vec<EncodedCommand>, Mismatch> {
    let commands = Commands::new(group.bytes).map(|decoded| {
        let (command, bytes) = decoded.map_err(|error| entry_mismatch(position, &error))?;
        Ok((command, bytes.into()))
    });
    commands.collect()
}

fn entry_mismatch(position: u64, what: &dyn std::fmt::Display) -> Mismatch {
    Mismatch::new(format!("the entry at position {position}: {what}"))
}
