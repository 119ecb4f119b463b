//! Clients' first answers, in the order of the journal: each must be what the rules say.
//!
//! For a load that alone moves its accounts' money: its commands determine every balance. A command
//! without an answer may have been done: send it again with the same id until there is one, before
//! the load is judged.

use std::collections::BTreeMap;

use evenkeel_wire::{command::Command, outcome::Outcome};

use crate::{
    mismatch::Mismatch,
    model::{Decision, Model, Moment},
};

/// A command and its first answer.
#[derive(Clone, Debug)]
pub struct FirstAnswer {
    pub command: Command,
    /// Of the entry that decided it.
    pub position: u64,
    /// The entry's time; 0 where no rule that the load meets looks at it.
    pub time: u64,
    pub outcome: Outcome,
}

/// Judges all answers in the order of the journal; gives how often each verdict occurred.
///
/// # Errors
/// Names the first answer that contradicts the rules, or two with one position and index.
pub fn judge_in_order<R>(
    model: &mut Model,
    records: &[R],
    read: impl Fn(&R) -> FirstAnswer,
) -> Result<BTreeMap<&'static str, u64>, Mismatch> {
    let mut ordered = BTreeMap::new();
    for record in records {
        let answer = read(record);
        let slot = (answer.position, answer.outcome.index);
        if let Some(other) = ordered.insert(slot, record) {
            return Err(Mismatch::new(format!(
                "{:?} and {:?} both have position and index {slot:?}",
                read(other).command,
                answer.command
            )));
        }
    }
    let mut verdicts = BTreeMap::new();
    for record in ordered.into_values() {
        *verdicts.entry(judge_one(model, &read(record))?).or_default() += 1;
    }
    Ok(verdicts)
}

fn judge_one(model: &mut Model, answer: &FirstAnswer) -> Result<&'static str, Mismatch> {
    let FirstAnswer { command, position, time, outcome } = answer;
    let moment = Moment { position: *position, index: outcome.index, time: *time };
    let Decision { outcome: expected, first } = model.apply(moment, command)?;
    if let Some(first) = first {
        return Err(Mismatch::new(format!(
            "{command:?} was decided at position {first} and again at {position}"
        )));
    }
    if *outcome != expected {
        return Err(Mismatch::new(format!(
            "{command:?} at position {position}: answered {outcome:?}, the rules say {expected:?}"
        )));
    }
    Ok(expected.rejection.map_or("committed", |rejection| rejection.name()))
}
