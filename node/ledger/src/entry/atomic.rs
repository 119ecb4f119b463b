//! Atomic groups: all of their commands are committed, or none of them changes anything and none
//! of their ids is recorded.

use evenkeel_wire::outcome::Rejection;

use super::apply::{AppliedCounts, EntryApplier, PreparedCommand};
use crate::{
    fault::LedgerFault,
    rules::verdict::{Stop, Verdict},
    tables::{outcomes::OutcomesDigest, recent::Savepoint},
};

/// A group under way, and the state of the entry when it began.
#[derive(Debug)]
pub(crate) struct AtomicGroup {
    savepoint: Savepoint,
    outcomes: OutcomesDigest,
    counts: AppliedCounts,
    next_index: u16,
    answers: usize,
    /// Its commands so far.
    commands: usize,
    /// The first command that was rejected, and why; later ones aren't judged.
    failed: Option<(usize, Rejection)>,
}

impl<'b> EntryApplier<'_, 'b> {
    /// Decides one command of an atomic group; with the last one, the whole group.
    pub(super) fn decide_in_group(
        &mut self,
        prepared: &PreparedCommand<'b>,
        first: bool,
        last: bool,
    ) -> Result<(), LedgerFault> {
        if first {
            self.begin_group();
        }
        self.commands.push(prepared.bytes);
        if self.group.as_ref().is_some_and(|group| group.failed.is_none()) {
            let verdict = self.execute_command(prepared);
            match group_rejection(&verdict) {
                None => self.record_answer(prepared, verdict)?,
                Some(rejection) => {
                    if let Some(group) = &mut self.group {
                        group.failed = Some((group.commands, rejection));
                    }
                }
            }
        }
        if let Some(group) = &mut self.group {
            group.commands = group.commands.wrapping_add(1);
        }
        if last && let Some(group) = self.group.take() {
            self.end_group(&group)?;
        }
        Ok(())
    }

    fn begin_group(&mut self) {
        self.tables.begin_group();
        self.group = Some(AtomicGroup {
            savepoint: self.tables.recent.take_savepoint(),
            outcomes: self.tables.outcomes,
            counts: self.counts,
            next_index: self.next_index,
            answers: self.answers.len(),
            commands: 0,
            failed: None,
        });
    }

    fn end_group(&mut self, group: &AtomicGroup) -> Result<(), LedgerFault> {
        let Some((failed, rejection)) = group.failed else {
            self.tables.commit_group();
            return Ok(());
        };
        self.tables.roll_back_group();
        self.tables.recent.roll_back_to(group.savepoint, self.tables.seed);
        self.tables.outcomes = group.outcomes;
        self.counts = group.counts;
        self.next_index = group.next_index;
        self.answers.truncate(group.answers);
        for command in 0..group.commands {
            let rejection = if command == failed { rejection } else { Rejection::BatchFailed };
            self.record_no_outcome(Stop::Rejected(rejection))?;
        }
        Ok(())
    }
}

/// Why a command fails its group. A replayed rejection fails it too: the command isn't committed.
fn group_rejection(verdict: &Verdict) -> Option<Rejection> {
    match verdict {
        Err(Stop::Rejected(rejection)) => Some(*rejection),
        Err(Stop::Replayed(answer)) => answer.outcome.rejection,
        Ok(_) | Err(Stop::Ignored | Stop::Fault(_)) => None,
    }
}
