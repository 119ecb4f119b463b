//! `/v1/batches`: up to 8,192 commands in one request, decided in order; atomic: all or none.
//!
//! A malformed item, or one that the key may not send, refuses the whole batch; then nothing is
//! ever sent.

mod items;
mod results;
mod schemas;

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State as Of,
    http::{Response, StatusCode},
    response::IntoResponse,
};
use evenkeel_wire::{codec, outcome::Stamp, reply::Refusal};
use serde_json::value::RawValue;
use tokio::time::timeout_at;

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
    history::NotLookedUp,
    limits::{BATCH_BYTES_AT_ONCE, ENTRY_BYTES_MAX, HTTP_ITEM_BYTES, ITEMS_AT_A_TIME},
    road::{Caller, Request},
};
use items::{BatchBody, Item};
use results::{BatchResults, to_raw_json};
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
    let (atomic, items) = read_items(&door, head, body.clone()).await?;
    head.count_commands(items.len())?;
    let estimate = items.len() * HTTP_ITEM_BYTES;
    let room = door.bodies.reserve_answer(head.caller.key, estimate)?;
    let checked = check(&door, head, items).await?;
    if atomic {
        let misfit = checked.items.iter().position(|item| item.misfit.is_some());
        if let Some(at) = misfit {
            return Ok(room.attach(fail_unsent_batch(&checked.items, at).into_response()));
        }
    }
    let decided = decide(&door, head, atomic, &checked).await?;
    door.wait_applied(newest_position(&decided), head.deadline).await?;
    let described = describe_batch(&door, head, atomic, decided, checked.items).await;
    Ok(room.attach(described.unwrap_or_else(Problem::into_response)))
}

/// Runs a turn of a large batch on the threads that read files: this thread's other requests, and
/// their answers, don't wait for it.
async fn take_turn<T: Send + 'static>(
    door: &HttpDoor,
    head: &Head,
    turn: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let threads = door.state.read_threads().doors;
    let taken = timeout_at(head.deadline, threads.run(head.caller.key, turn)).await;
    taken.unwrap_or(Err(NotLookedUp::Busy)).map_err(|error| Problem::from(Refusal::from(error)))?
}

/// Whether the batch is atomic, and the text of each item.
async fn read_items(
    door: &HttpDoor,
    head: &Head,
    body: Bytes,
) -> Result<(bool, Vec<Bytes>), Problem> {
    let is_small = body.len() <= BATCH_BYTES_AT_ONCE;
    let read = move || {
        let batch: BatchBody<'_> = json::read(&body)?;
        let text = |item: &&RawValue| body.slice_ref(item.get().as_bytes());
        Ok((batch.atomic, batch.commands.0.iter().map(text).collect()))
    };
    if is_small { read() } else { take_turn(door, head, read).await }
}

/// Parses and checks all items, many of them in turns with other callers.
async fn check(door: &HttpDoor, head: &Head, items: Vec<Bytes>) -> Result<CheckedBatch, Problem> {
    let (caller, is_small) = (head.caller, items.len() <= ITEMS_AT_A_TIME);
    let mut reading = BatchReading::new(items);
    while !reading.is_complete() {
        let turn = move || {
            reading.check_some(&caller)?;
            Ok(reading)
        };
        reading = if is_small { turn()? } else { take_turn(door, head, turn).await? };
    }
    let BatchReading { commands, all, items, count, .. } = reading;
    if commands.len() > ENTRY_BYTES_MAX - HEADS_BYTES {
        let detail =
            format!("the commands take {} bytes; at most {ENTRY_BYTES_MAX}", commands.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    let checked = CheckedBatch { items, count, commands: commands.into() };
    let misfits = checked.items.iter().any(|item| item.misfit.is_some());
    // A misfit is reported only to callers who may send the command.
    let all = if misfits { all.into() } else { checked.commands.clone() };
    targets::wait_for_target_check(&door.state, head.caller, all, head.deadline)
        .await
        .map_err(|refusal| Problem::from(refusal).of_numbered_item())?;
    Ok(checked)
}

/// A batch whose items are being parsed and checked.
struct BatchReading {
    texts: Vec<Bytes>,
    ids: HashSet<u128>,
    items: Vec<Item>,
    /// The commands of all items, and of those without a misfit.
    all: Vec<u8>,
    commands: Vec<u8>,
    count: u32,
}

impl BatchReading {
    fn new(texts: Vec<Bytes>) -> Self {
        let ids = HashSet::with_capacity(texts.len());
        let items = Vec::with_capacity(texts.len());
        Self { texts, ids, items, all: Vec::new(), commands: Vec::new(), count: 0 }
    }

    fn is_complete(&self) -> bool {
        self.items.len() == self.texts.len()
    }

    /// Parses and checks the next items: one turn.
    fn check_some(&mut self, caller: &Caller) -> Result<(), Problem> {
        let next = self.texts.iter().enumerate().skip(self.items.len());
        for (number, text) in next.take(ITEMS_AT_A_TIME) {
            let text = std::str::from_utf8(text).expect("JSON that was read is UTF-8");
            let (id, item) = items::read(text).map_err(|problem| problem.of_item(number))?;
            if !self.ids.insert(id) {
                return Err(Problem::malformed("id: another command of the batch has the same id")
                    .of_item(number));
            }
            let own = Bytes::from(codec::encode(&item.command));
            admission::check_form_and_role(caller, 1, &own)
                .map_err(|refusal| Problem::from(refusal).of_one_command().of_item(number))?;
            self.all.extend_from_slice(&own);
            if item.misfit.is_none() {
                self.commands.extend_from_slice(&own);
                self.count += 1;
            }
            self.items.push(item);
        }
        Ok(())
    }
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

/// The whole answer. Describing reads files, and takes turns with other callers on the threads that
/// do: neither this thread nor replication's waits for thousands of outcomes.
async fn describe_batch(
    door: &HttpDoor,
    head: &Head,
    atomic: bool,
    decided: Vec<Decision>,
    items: Vec<Item>,
) -> Result<Response<Body>, Problem> {
    let (threads, caller) = (door.state.read_threads().doors, head.caller.key);
    let first = decided.first().map(|first| first.stamp);
    let mut results = BatchResults::new(decided, items);
    loop {
        let state = door.state.clone();
        let turn = move || -> Result<_, Problem> {
            results.describe_some(&state)?;
            Ok(if results.is_complete() {
                ControlFlow::Break(write_answer(atomic, first, &results))
            } else {
                ControlFlow::Continue(results)
            })
        };
        match threads.run(caller, turn).await.map_err(|_| outcome_unknown())?? {
            ControlFlow::Break(answer) => return answer,
            ControlFlow::Continue(more) => results = more,
        }
    }
}

fn write_answer(
    atomic: bool,
    first: Option<Stamp>,
    results: &BatchResults,
) -> Result<Response<Body>, Problem> {
    match (results.failed, first) {
        (Some(failed_index), Some(first)) if atomic => {
            let results = to_raw_json(&results.results);
            Err(Problem::batch_failed(Some(first), FailedBatch { failed_index, results }))
        }
        _ => Ok(describe::json(StatusCode::OK, results)),
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
