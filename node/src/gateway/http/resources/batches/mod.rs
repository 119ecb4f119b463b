//! `/v1/batches`: up to 8,192 commands in one request, decided in order; atomic: all or none.
//!
//! A malformed item, or one that the key may not send, refuses the whole batch; then nothing is
//! ever sent.

mod items;
mod results;
mod schemas;

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State as Of,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use evenkeel_wire::codec;
use serde_json::value::RawValue;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, Decision},
        problem::{Code, FailedBatch, Problem, ProblemJson},
    },
    openapi::{BatchProblems, DeadlineMs},
    request::{body::RequestWithBody, head::Head, json},
    submit::outcome_unknown,
};
use crate::{
    admission::{self, targets},
    limits::{ENTRY_BYTES_MAX, HTTP_ITEM_BYTES, ITEMS_AT_A_TIME},
    road::Request,
    state::AppliedState,
};
use items::{BatchBody, Item};
use results::to_raw_json;
pub(crate) use schemas::ResultSchema;
use schemas::{BatchSchema, ResultsSchema};

/// Bytes that an entry's head and a group's head need besides the commands.
const HEADS_BYTES: usize = 64;

/// The checked items of a batch, and the commands to send.
struct CheckedBatch {
    items: Vec<Item>,
    count: u32,
    commands: Bytes,
}

/// Decides many commands at once, in order.
#[utoipa::path(
    post, path = "/v1/batches", tag = "batches", operation_id = "batch",
    params(DeadlineMs), request_body = BatchSchema,
    responses((status = 200, description = "Decided, one result per command.", body = ResultsSchema), BatchProblems),
)]
pub(crate) async fn batch(
    Of(door): Of<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let RequestWithBody { head, body, .. } = &asked;
    head.check_no_id()?;
    let batch: BatchBody<'_> = json::read(body)?;
    head.count_commands(batch.commands.0.len())?;
    let estimate = batch.commands.0.len() * HTTP_ITEM_BYTES;
    let room = door.bodies.reserve_answer(head.caller.key, estimate)?;
    let checked = check(&door, head, &batch.commands.0).await?;
    if batch.atomic {
        let misfit = checked.items.iter().position(|item| item.misfit.is_some());
        if let Some(at) = misfit {
            return Ok(room.attach(fail_unsent_batch(&checked.items, at).into_response()));
        }
    }
    let decided = decide(&door, head, batch.atomic, &checked).await?;
    door.wait_applied(newest_position(&decided), head.deadline).await?;
    let (state, atomic, items) = (door.state.clone(), batch.atomic, checked.items);
    // Describing thousands of answers runs on a blocking thread, so that other requests don't wait.
    let describing =
        tokio::task::spawn_blocking(move || describe_batch(&state, atomic, &decided, &items));
    let described = describing.await.map_err(|_| outcome_unknown())?;
    Ok(room.attach(described.unwrap_or_else(Problem::into_response)))
}

/// Parses and checks all items, yielding to other requests in between.
async fn check(door: &HttpDoor, head: &Head, items: &[&RawValue]) -> Result<CheckedBatch, Problem> {
    let mut ids = HashSet::with_capacity(items.len());
    let mut checked =
        CheckedBatch { items: Vec::with_capacity(items.len()), count: 0, commands: Bytes::new() };
    let (mut all, mut commands) = (Vec::new(), Vec::new());
    for (number, item) in items.iter().enumerate() {
        if number % ITEMS_AT_A_TIME == ITEMS_AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        let named = |problem: Problem| problem.of_item(number);
        let (id, item) = items::read(item.get()).map_err(named)?;
        if !ids.insert(id) {
            return Err(Problem::malformed("id: another command of the batch has the same id")
                .of_item(number));
        }
        let own = Bytes::from(codec::encode(&item.command));
        admission::check_form_and_role(&head.caller, 1, &own)
            .map_err(|refusal| Problem::from(refusal).of_one_command().of_item(number))?;
        all.extend_from_slice(&own);
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
    let misfits = checked.items.iter().any(|item| item.misfit.is_some());
    checked.commands = commands.into();
    // A misfit is reported only to callers who may send the command.
    let all = if misfits { all.into() } else { checked.commands.clone() };
    targets::wait_for_target_check(&door.state, head.caller, all, head.deadline)
        .await
        .map_err(|refusal| Problem::from(refusal).of_numbered_item())?;
    Ok(checked)
}

/// Sends the commands that the ledger must judge, if there are any.
async fn decide(
    door: &HttpDoor,
    head: &Head,
    atomic: bool,
    checked: &CheckedBatch,
) -> Result<Vec<Decision>, Problem> {
    if checked.count == 0 {
        return Ok(Vec::new());
    }
    let (count, commands) = (checked.count, checked.commands.clone());
    let request = Request::Submit { count, atomic, commands };
    let (decided, answers) = door.submit_request(head.caller, request, head.deadline).await?;
    let own = decided.answers.get(answers).ok_or_else(outcome_unknown)?;
    if own.len() != usize::try_from(count).unwrap_or(usize::MAX) {
        return Err(outcome_unknown());
    }
    Ok(own.iter().map(|answer| Decision::from_answer(&decided, answer)).collect())
}

/// The newest entry among those that the answers were decided in.
fn newest_position(decided: &[Decision]) -> u64 {
    decided.iter().map(|decision| decision.stamp.position).max().unwrap_or(0)
}

/// The whole answer.
fn describe_batch(
    state: &AppliedState,
    atomic: bool,
    decided: &[Decision],
    items: &[Item],
) -> Result<Response<Body>, Problem> {
    let told = results::describe_results(state, decided, items)?;
    match (told.failed, decided.first()) {
        (Some(failed_index), Some(first)) if atomic => {
            let results = to_raw_json(&told.results);
            Err(Problem::batch_failed(Some(first.stamp), FailedBatch { failed_index, results }))
        }
        _ => Ok(describe::json(StatusCode::OK, &told)),
    }
}

/// Fails an atomic batch with an item that the ledger can't judge: nothing is sent.
fn fail_unsent_batch(items: &[Item], failed_index: usize) -> Problem {
    let others = Problem::not_done();
    let results: Vec<ProblemJson<'_>> = items
        .iter()
        .enumerate()
        .map(|(number, item)| match &item.misfit {
            Some(problem) if number == failed_index => problem.to_json(),
            _ => others.to_json(),
        })
        .collect();
    Problem::batch_failed(None, FailedBatch { failed_index, results: to_raw_json(&results) })
}
