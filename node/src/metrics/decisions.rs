//! Counts of the ledger's decisions: one pass over an entry's answers after it's applied. It never
//! counts command by command while the ledger works.

use evenkeel_wire::outcome::{Answer, Outcome, Rejection};
use prometheus::IntCounter;

use super::families::Families;

/// The slot of committed commands in `counts`: no rejection has this number.
const COMMITTED: u8 = 0;

/// Entries, commands, and outcomes by code.
#[derive(Debug)]
pub(crate) struct Decisions {
    entries: IntCounter,
    commands: IntCounter,
    replays: IntCounter,
    outcomes: Vec<(u8, IntCounter)>,
}

impl Decisions {
    pub(crate) fn new(families: &Families) -> Self {
        let outcomes = families.counters(
            "outcomes_total",
            "Commands that this node has applied since its start, by outcome: committed, or the rejection's code; of an atomic batch that failed, one by its own code and all others as batch_failed. Replays aren't counted again.",
            &["code"],
        );
        let rejections =
            Rejection::ALL.iter().map(|rejection| (rejection.byte(), rejection.name()));
        Self {
            entries: families.counter(
                "entries_committed_total",
                "Journal entries of any kind that this node has applied since its start.",
            ),
            commands: families.counter(
                "commands_committed_total",
                "Commands in the journal entries that this node has applied since its start, whatever their outcome.",
            ),
            replays: families.counter(
                "replays_total",
                "Commands that this node has answered with an earlier outcome since its start, because their id was known: applied ones, and at the primary those that needed no journal entry.",
            ),
            outcomes: std::iter::once((COMMITTED, "committed"))
                .chain(rejections)
                .map(|(number, code)| (number, outcomes.with_label_values(&[code])))
                .collect(),
        }
    }

    /// Counts commands that were answered with an earlier outcome without an entry.
    pub(crate) fn count_repeats(&self, count: usize) {
        self.replays.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Counts an applied entry without commands.
    pub(crate) fn count_empty_entry(&self) {
        self.entries.inc();
    }

    /// Counts an applied entry with these answers.
    pub(crate) fn count_outcomes(&self, answers: &[Answer]) {
        let mut counts = [0_u64; 256];
        let mut replays = 0;
        for answer in answers {
            if answer.first.is_some() {
                replays += 1;
            } else if let Some(rejection) = answer.outcome.rejection {
                counts[usize::from(rejection.byte())] += 1;
            } else if answer.outcome.index != Outcome::NO_INDEX {
                counts[usize::from(COMMITTED)] += 1;
            }
        }
        self.entries.inc();
        self.commands.inc_by(u64::try_from(answers.len()).unwrap_or(u64::MAX));
        self.replays.inc_by(replays);
        for (number, counter) in &self.outcomes {
            let count = counts[usize::from(*number)];
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }
}
