//! `/v1/batches`: up to 8,192 commands in one request, decided in order; atomic: all of them or none.
//!
//! An item that is malformed, or that the key may not give, refuses the whole batch before anything is sent.

mod items;
mod results;
mod schemas;

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State as Of,
    http::{Response, StatusCode},
};
use evenkeel_wire::codec;
use serde_json::value::RawValue;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, Decision},
        problem::{Code, FailedBatch, Problem, Written},
    },
    openapi::{BatchProblems, DeadlineMs},
    request::{body::Asked, head::Head, json},
    submit::unknown,
};
use crate::{
    admission,
    limits::{ENTRY_BYTES_MAX, ITEMS_AT_A_TIME},
    road::Errand,
    state::State,
};
use items::{Batch, Item};
use results::raw;
pub(crate) use schemas::ResultSchema;
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
pub(crate) async fn batch(
    Of(door): Of<Arc<HttpDoor>>,
    asked: Asked,
) -> Result<Response<Body>, Problem> {
    let Asked { head, body, .. } = &asked;
    head.no_id()?;
    let batch: Batch<'_> = json::read(body)?;
    let checked = check(&door, head, &batch.commands.0).await?;
    if batch.atomic {
        let misfit = checked.items.iter().position(|item| item.misfit.is_some());
        if let Some(at) = misfit {
            return Err(failed_at_the_door(&checked.items, at));
        }
    }
    let decided = decide(&door, head, batch.atomic, &checked).await?;
    door.reach(newest(&decided), head.deadline).await?;
    let (state, atomic, items) = (door.state.clone(), batch.atomic, checked.items);
    // Thousands of answers are told elsewhere, so that others get theirs meanwhile.
    tokio::task::spawn_blocking(move || tell(&state, atomic, &decided, &items))
        .await
        .map_err(|_| unknown())?
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
        let own = Bytes::from(codec::encode(&item.command));
        admission::check_commands(&head.caller, &*door.state, 1, &own)
            .map_err(|refusal| Problem::from(refusal).of_one_command().of_item(number))?;
        if item.misfit.is_none() {
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

/// Sends what the ledger is to judge, if anything is.
async fn decide(
    door: &HttpDoor,
    head: &Head,
    atomic: bool,
    checked: &Checked,
) -> Result<Vec<Decision>, Problem> {
    if checked.count == 0 {
        return Ok(Vec::new());
    }
    let (count, commands) = (checked.count, checked.commands.clone());
    let errand = Errand::Submit { count, atomic, commands };
    let (decided, answers) = door.decide(head.caller, errand, head.deadline).await?;
    let own = decided.answers.get(answers).ok_or_else(unknown)?;
    if own.len() != usize::try_from(count).unwrap_or(usize::MAX) {
        return Err(unknown());
    }
    Ok(own.iter().map(|answer| Decision::of(&decided, answer)).collect())
}

/// The newest entry that one of the answers was decided in.
fn newest(decided: &[Decision]) -> u64 {
    decided.iter().map(|decision| decision.stamp.position).max().unwrap_or(0)
}

/// The whole answer.
fn tell(
    state: &State,
    atomic: bool,
    decided: &[Decision],
    items: &[Item],
) -> Result<Response<Body>, Problem> {
    let told = results::tell(state, decided, items)?;
    match (told.failed, decided.first()) {
        (Some(failed_index), Some(first)) if atomic => {
            let results = raw(&told.results);
            Err(Problem::batch_failed(Some(first.stamp), FailedBatch { failed_index, results }))
        }
        _ => Ok(describe::json(StatusCode::OK, &told)),
    }
}

/// An atomic batch with an item that no ledger can judge: nothing is sent.
fn failed_at_the_door(items: &[Item], failed_index: usize) -> Problem {
    let others = Problem::not_done();
    let results: Vec<Written<'_>> = items
        .iter()
        .enumerate()
        .map(|(number, item)| match &item.misfit {
            Some(problem) if number == failed_index => problem.written(),
            _ => others.written(),
        })
        .collect();
    Problem::batch_failed(None, FailedBatch { failed_index, results: raw(&results) })
}
