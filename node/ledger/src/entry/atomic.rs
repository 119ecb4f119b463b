//! Atomic groups: all of their commands are committed, or none of them changes anything and none of their ids is recorded.

use evenkeel_wire::outcome::{Answer, Outcome, Rejection};

use super::{
    apply::{AppliedCounts, EntryContext, PreparedCommand},
    execute::Verdict,
};
use crate::{
    Ledger, LedgerFault,
    checkpoint::digest::OutcomesDigest,
    known_ids::JournalLookup,
    tables::recent::{DecidedOutcome, Savepoint},
};

/// A group under way, and how everything was when it began.
#[derive(Debug)]
pub(crate) struct AtomicGroup {
    mark: Savepoint,
    outcomes: OutcomesDigest,
    applied: AppliedCounts,
    next_index: u16,
    answers: usize,
    /// Its commands so far.
    commands: usize,
    /// The command that was rejected, and why; those behind it aren't judged.
    failed: Option<(usize, Rejection)>,
}

impl Ledger {
    /// Decides one command of an atomic group; with the last one, the whole group.
    pub(crate) fn decide_in_group<'a>(
        &mut self,
        prepared: &PreparedCommand<'a>,
        (first, last): (bool, bool),
        entry: &mut EntryContext<'a>,
        firsts: &mut dyn JournalLookup,
        answers: &mut Vec<Answer>,
    ) -> Result<(), LedgerFault> {
        if first {
            self.begin_group();
            entry.group = Some(AtomicGroup {
                mark: self.recent.take_savepoint(),
                outcomes: self.outcomes,
                applied: entry.applied,
                next_index: entry.next_index,
                answers: answers.len(),
                commands: 0,
                failed: None,
            });
        }
        entry.commands.push(prepared.bytes);
        if entry.group.as_ref().is_some_and(|group| group.failed.is_none()) {
            let verdict = self.execute_command(prepared, entry, firsts)?;
            match rejection_of(&verdict) {
                None => self.record_answer(prepared, &verdict, entry, answers),
                Some(rejection) => {
                    if let Some(group) = &mut entry.group {
                        group.failed = Some((group.commands, rejection));
                    }
                }
            }
        }
        if let Some(group) = &mut entry.group {
            group.commands = group.commands.wrapping_add(1);
        }
        if last && let Some(group) = entry.group.take() {
            self.end_group(&group, entry, answers);
        }
        Ok(())
    }

    fn end_group(
        &mut self,
        group: &AtomicGroup,
        entry: &mut EntryContext<'_>,
        answers: &mut Vec<Answer>,
    ) {
        let Some((failed, rejection)) = group.failed else {
            self.commit_group();
            return;
        };
        self.roll_back_group();
        self.recent.roll_back_to(group.mark, self.seed);
        self.outcomes = group.outcomes;
        entry.applied = group.applied;
        entry.next_index = group.next_index;
        answers.truncate(group.answers);
        for command in 0..group.commands {
            let rejection = if command == failed { rejection } else { Rejection::BatchFailed };
            let outcome = Outcome {
                index: Outcome::NO_INDEX,
                rejection: Some(rejection),
                amount: 0,
                debit_after: 0,
                credit_after: 0,
            };
            self.recent.keep_outcome(None, DecidedOutcome { outcome, replayed: false });
            entry.applied.commands = entry.applied.commands.wrapping_add(1);
            entry.applied.rejected = entry.applied.rejected.wrapping_add(1);
            answers.push(Answer { outcome, first: None });
        }
    }
}

/// Why a command fails its group. A first answer that was a rejection fails it too: the command isn't committed.
fn rejection_of(verdict: &Verdict) -> Option<Rejection> {
    match verdict {
        Verdict::Rejected(rejection) => Some(*rejection),
        Verdict::Replayed(answer) => answer.outcome.rejection,
        Verdict::Committed { .. } | Verdict::Ignored => None,
    }
}
