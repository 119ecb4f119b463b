//! `/v1/batches`: up to 8,192 commands in one request, decided in order; atomic: all of them or none.
//!
//! An item that is malformed, or that the key may not give, refuses the whole batch before anything is sent.

mod items;
mod schemas;

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode},
};
use evenkeel_wire::{codec, command::Command, outcome::Rejection};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::{
    HttpDoor,
    asked::Asked,
    describe::{self, CommittedAccount, CommittedHold, CommittedTransfer, Decision, TransferShape},
    head::Head,
    json,
    openapi::{BatchProblems, DeadlineMs},
    problem::{Code, FailedBatch, Problem, Written},
    submit::unknown,
};
use crate::{
    admission,
    limits::{ENTRY_BYTES_MAX, ITEMS_AT_A_TIME},
    road::{Decided, Errand},
};
use items::{Batch, Item};
pub(super) use schemas::ResultSchema;
use schemas::{BatchSchema, Results};

/// What an entry and a group need beside the commands.
const HEADS_BYTES: usize = 64;

/// The items of a batch, and what goes on the road.
struct Checked {
    items: Vec<Item>,
    count: u32,
    commands: Bytes,
}

/// Decides many commands at once, in order.
#[utoipa::path(
    post, path = "/v1/batches", tag = "batches", operation_id = "batch",
    params(DeadlineMs), request_body = BatchSchema,
    responses((status = 200, description = "Decided, each for itself.", body = Results), BatchProblems),
)]
pub(super) async fn batch(
    State(door): State<Arc<HttpDoor>>,
    asked: Asked,
) -> Result<Response<Body>, Problem> {
    let Asked { head, body, .. } = &asked;
    head.no_id()?;
    let batch: Batch<'_> = json::read(body)?;
    let checked = check(&door, head, &batch.commands.0).await?;
    if batch.atomic {
        let invalid = checked.items.iter().position(|item| matches!(item, Item::Invalid(_)));
        if let Some(at) = invalid {
            return Err(failed_at_the_door(&checked.items, at));
        }
    }
    let decided = decide(&door, head, batch.atomic, &checked).await?;
    let told = tell(&door, head, decided.as_deref(), &checked.items).await?;
    match decided {
        Some(decided) if batch.atomic && told.failed.is_some() => Err(told.failure(&decided)),
        _ => Ok(describe::json(StatusCode::OK, &told)),
    }
}

/// Reads and judges all items, giving way to other requests now and then.
async fn check(door: &HttpDoor, head: &Head, items: &[&RawValue]) -> Result<Checked, Problem> {
    let mut ids = HashSet::with_capacity(items.len());
    let mut checked =
        Checked { items: Vec::with_capacity(items.len()), count: 0, commands: Bytes::new() };
    let mut commands = Vec::new();
    for (number, item) in items.iter().enumerate() {
        if number % ITEMS_AT_A_TIME == ITEMS_AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        let named = |problem: Problem| problem.of_item(number);
        let (id, item) = items::read(item.get()).map_err(named)?;
        if !ids.insert(id) {
            return Err(
                Problem::malformed("id: another command of the batch has it").of_item(number)
            );
        }
        if let Item::Command(command) = &item {
            let own = Bytes::from(codec::encode(command));
            admission::check_commands(&head.caller, &*door.state, 1, &own)
                .map_err(|refusal| Problem::from(refusal).of_one_command().of_item(number))?;
            commands.extend_from_slice(&own);
            checked.count += 1;
        }
        checked.items.push(item);
    }
    if commands.len() > ENTRY_BYTES_MAX - HEADS_BYTES {
        let detail =
            format!("the commands take {} bytes; at most {ENTRY_BYTES_MAX}", commands.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    checked.commands = commands.into();
    Ok(checked)
}

/// Sends what the ledger is to judge; `None`: nothing is.
async fn decide(
    door: &HttpDoor,
    head: &Head,
    atomic: bool,
    checked: &Checked,
) -> Result<Option<Arc<Decided>>, Problem> {
    if checked.count == 0 {
        return Ok(None);
    }
    let (count, commands) = (checked.count, checked.commands.clone());
    let errand = Errand::Submit { count, atomic, commands };
    let (decided, answers) = door.decide(head.caller, errand, head.deadline).await?;
    let own = decided.answers.get(answers).ok_or_else(unknown)?;
    if own.len() != usize::try_from(count).unwrap_or(usize::MAX) {
        return Err(unknown());
    }
    let own = own.to_vec();
    Ok(Some(Arc::new(Decided { stamp: decided.stamp, answers: own })))
}

/// What became of a batch's commands, in order.
#[derive(Serialize)]
struct Told {
    results: Vec<Box<RawValue>>,
    /// The first that was rejected for what it is.
    #[serde(skip)]
    failed: Option<usize>,
}

impl Told {
    fn failure(self, decided: &Decided) -> Problem {
        let failed_index = self.failed.unwrap_or(0);
        let results = raw(&self.results);
        Problem::batch_failed(Some(decided.stamp), FailedBatch { failed_index, results })
    }
}

/// Describes all outcomes, giving way to other requests now and then.
async fn tell(
    door: &HttpDoor,
    head: &Head,
    decided: Option<&Decided>,
    items: &[Item],
) -> Result<Told, Problem> {
    let mut told = Told { results: Vec::with_capacity(items.len()), failed: None };
    let mut answers = decided.iter().flat_map(|decided| decided.answers.iter());
    for (number, item) in items.iter().enumerate() {
        if number % ITEMS_AT_A_TIME == ITEMS_AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        let result = match item {
            Item::Invalid(problem) => Err(problem.clone()),
            Item::Command(command) => {
                let decided = decided.ok_or_else(unknown)?;
                let answer = answers.next().ok_or_else(unknown)?;
                match Decision::of(decided, answer).committed() {
                    Ok(decision) => Ok(tell_one(door, head, command, &decision).await?),
                    Err(problem) => Err(problem),
                }
            }
        };
        told.results.push(result.unwrap_or_else(|problem| {
            let own = problem.code != Code::Rejected(Rejection::BatchFailed);
            if own && told.failed.is_none() {
                told.failed = Some(number);
            }
            raw(&problem.written())
        }));
    }
    Ok(told)
}

/// A committed item's result: as the single route answers, with its status.
async fn tell_one(
    door: &HttpDoor,
    head: &Head,
    command: &Command,
    decision: &Decision,
) -> Result<Box<RawValue>, Problem> {
    let (deadline, status) = (head.deadline, decision.status().as_u16());
    let moved =
        |shape| raw(&WithStatus { status, outcome: CommittedTransfer::new(decision, shape) });
    let set_aside =
        |shape| raw(&WithStatus { status, outcome: CommittedHold::new(decision, shape) });
    Ok(match command {
        Command::Transfer(transfer) => moved(TransferShape::moved(transfer, decision)),
        Command::Capture(capture) => moved(door.movement_of(capture.id, decision, deadline).await?),
        Command::Refund(refund) => moved(door.movement_of(refund.id, decision, deadline).await?),
        Command::Hold(hold) => set_aside(door.hold_of(hold.id, decision, deadline).await?),
        Command::Void(void) => set_aside(door.hold_of(void.hold, decision, deadline).await?),
        Command::OpenAccount(open) => {
            let shape = door.account_of(open.id, decision, deadline).await?;
            raw(&WithStatus { status, outcome: CommittedAccount::new(decision, shape) })
        }
        _ => unreachable!("a batch has no items of other types"),
    })
}

/// An atomic batch with an item that no ledger can judge: nothing is sent.
fn failed_at_the_door(items: &[Item], failed_index: usize) -> Problem {
    let others = Problem::not_done();
    let results: Vec<Written<'_>> = items
        .iter()
        .enumerate()
        .map(|(number, item)| match item {
            Item::Invalid(problem) if number == failed_index => problem.written(),
            _ => others.written(),
        })
        .collect();
    Problem::batch_failed(None, FailedBatch { failed_index, results: raw(&results) })
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("the shapes hold nothing that JSON can't")
}

/// An outcome among others.
#[derive(Serialize, ToSchema)]
pub(super) struct WithStatus<T> {
    /// What the single route would have answered with.
    status: u16,
    #[serde(flatten)]
    outcome: T,
}
