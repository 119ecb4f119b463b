//! The results of a batch's commands, in order: each as the single route would answer, with its
//! status. They never change anything.

use evenkeel_wire::{command::Command, outcome::Rejection, reply::View, request::Query};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::items::Item;
use crate::gateway::http::{
    answer::{
        describe::{
            AccountShape, CommittedAccount, CommittedHold, CommittedTransfer, Decision, HoldShape,
            TransferShape,
        },
        problem::{Code, Problem},
    },
    submit::outcome_unknown,
};
use crate::{history::HistoryReader, limits::LOOKUPS_AT_A_TIME, state::AppliedState};

/// The results of a batch, as far as they're described.
#[derive(Serialize)]
pub(crate) struct BatchResults {
    pub(crate) results: Vec<Box<RawValue>>,
    /// The first command that was rejected on its own account.
    #[serde(skip)]
    pub(crate) failed: Option<usize>,
    #[serde(skip)]
    items: Vec<Item>,
    /// The outcomes that aren't described yet.
    #[serde(skip)]
    decided: std::vec::IntoIter<Decision>,
}

impl BatchResults {
    /// Nothing is described yet. The outcomes are those of the items that were sent.
    pub(crate) fn new(decided: Vec<Decision>, items: Vec<Item>) -> Self {
        let (results, decided) = (Vec::with_capacity(items.len()), decided.into_iter());
        Self { results, failed: None, items, decided }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.results.len() == self.items.len()
    }

    /// Describes the next outcomes, of commands whose entries this node has applied. Reads
    /// files: never call it on a thread that serves others.
    ///
    /// # Errors
    /// When a record can't be read at the moment: the same batch returns the same answers later.
    pub(crate) fn describe_some(&mut self, state: &AppliedState) -> Result<(), Problem> {
        let describer = ResultDescriber { state, past: state.history_reader() };
        let next = self.items.iter().enumerate().skip(self.results.len());
        for (number, item) in next.take(LOOKUPS_AT_A_TIME) {
            let result = match &item.misfit {
                Some(problem) => Err(problem.clone()),
                None => {
                    let decision = self.decided.next().ok_or_else(outcome_unknown)?;
                    match decision.require_committed() {
                        Ok(decision) => Ok(describer.describe_result(&item.command, &decision)?),
                        Err(problem) => Err(problem),
                    }
                }
            };
            self.results.push(result.unwrap_or_else(|problem| {
                let own = problem.code != Code::Rejected(Rejection::BatchFailed);
                if own && self.failed.is_none() {
                    self.failed = Some(number);
                }
                to_raw_json(&problem.to_json())
            }));
        }
        Ok(())
    }
}

/// Looks up what isn't in a command itself. All lookups of a turn share one reader, so records
/// that lie together are read once.
struct ResultDescriber<'a> {
    state: &'a AppliedState,
    past: HistoryReader<'a>,
}

impl ResultDescriber<'_> {
    /// The result of a committed command.
    fn describe_result(
        &self,
        command: &Command,
        decision: &Decision,
    ) -> Result<Box<RawValue>, Problem> {
        let status = decision.status().as_u16();
        let moved = |shape| {
            to_raw_json(&WithStatus { status, outcome: CommittedTransfer::new(decision, shape) })
        };
        let set_aside = |shape| {
            to_raw_json(&WithStatus { status, outcome: CommittedHold::new(decision, shape) })
        };
        let movement = |id| {
            let found = self.past.find_transfer(id).ok().flatten().ok_or_else(outcome_unknown);
            found.map(|view| moved(TransferShape::immutable_part(&view)))
        };
        let hold = |id| {
            let found = self.past.find_hold(id).ok().flatten().ok_or_else(outcome_unknown);
            found.map(|view| set_aside(HoldShape::from(view)))
        };
        match command {
            Command::Transfer(transfer) => {
                Ok(moved(TransferShape::from_command(transfer, decision)))
            }
            Command::Capture(capture) => movement(capture.id),
            Command::Refund(refund) => movement(refund.id),
            Command::Hold(taken_up) => hold(taken_up.id),
            Command::Void(void) => hold(void.hold),
            Command::OpenAccount(open) => match self.state.answer_query(&Query::Account(open.id)) {
                Ok(View::Account(view)) => {
                    let outcome = CommittedAccount::new(decision, AccountShape::from(view));
                    Ok(to_raw_json(&WithStatus { status, outcome }))
                }
                _ => Err(outcome_unknown()),
            },
            _ => unreachable!("a batch has no items of other types"),
        }
    }
}

pub(crate) fn to_raw_json(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("the shapes hold nothing that JSON can't")
}

/// An outcome with its status.
#[derive(Serialize, ToSchema)]
pub(crate) struct WithStatus<T> {
    /// The status of the single route's answer.
    status: u16,
    #[serde(flatten)]
    outcome: T,
}
