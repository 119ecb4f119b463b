//! Atomic groups: all of their commands are committed, or none of them changes anything and none of their ids is recorded.

use evenkeel_wire::outcome::{Answer, Outcome, Rejection};

use super::{
    apply::{Applied, Entry, Prepared},
    execute::Verdict,
};
use crate::{
    Ledger, Unwell,
    checkpoint::digest::OutcomesDigest,
    known_ids::FirstAnswers,
    tables::recent::{Decided, Mark},
};

/// A group under way, and how everything was when it began.
#[derive(Debug)]
pub(crate) struct Group {
    mark: Mark,
    outcomes: OutcomesDigest,
    applied: Applied,
    next_index: u16,
    answers: usize,
    /// Its commands so far.
    commands: usize,
    /// The command that was rejected, and why; those behind it aren't judged.
    failed: Option<(usize, Rejection)>,
}

impl Ledger {
    /// Decides one command of an atomic group; with the last one, the whole group.
    pub(crate) fn decide_together<'a>(
        &mut self,
        prepared: &Prepared<'a>,
        (first, last): (bool, bool),
        entry: &mut Entry<'a>,
        firsts: &mut dyn FirstAnswers,
        answers: &mut Vec<Answer>,
    ) -> Result<(), Unwell> {
        if first {
            self.begin_group();
            entry.group = Some(Group {
                mark: self.recent.mark(),
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
            let verdict = self.judge(prepared, entry, firsts)?;
            match rejection_of(&verdict) {
                None => self.answer(prepared, &verdict, entry, answers),
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

    fn end_group(&mut self, group: &Group, entry: &mut Entry<'_>, answers: &mut Vec<Answer>) {
        let Some((failed, rejection)) = group.failed else {
            self.keep_group();
            return;
        };
        self.undo_group();
        self.recent.go_back(group.mark, self.seed);
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
            self.recent.keep(None, Decided { outcome, replayed: false });
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
        Verdict::Again(answer) => answer.outcome.rejection,
        Verdict::Committed { .. } | Verdict::Passed => None,
    }
}
