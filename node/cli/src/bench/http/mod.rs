//! The load over HTTP: every caller has its own connection, like the processes of a gateway.
//!
//! A caller's connection leads to the primary. A request that fails on it is repeated through the
//! door, with the same ids, so that nothing happens twice.

mod connection;
mod requests;

use std::cell::RefCell;

use evenkeel_http::Dialler;
use evenkeel_wire::{client::ClientError, outcome::Rejection, reply::Refusal};
use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use self::{
    connection::{BenchConnection, RawResponse},
    requests::{RequestTexts, RequestWriter, primary_probe},
};
use super::{
    BenchPlan, PATIENCE,
    batch::{Random, TransferBatch},
    figures::Tally,
};
use crate::{
    Exit, Failure,
    door::{
        Door,
        http::{open_diallers, read_results, rejection},
    },
    output::print_note,
};

/// The deadline of a request on a caller's connection; after it, the request is repeated.
const DEADLINE_MS: u64 = 20_000;
/// The time that an answer may take beyond its deadline.
const GRACE: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Runs `count` callers until the plan is done.
pub(crate) async fn drive_callers(plan: &BenchPlan, count: usize) -> Result<Tally, Failure> {
    let load = HttpLoad {
        plan,
        door: plan.door()?,
        diallers: open_diallers(&plan.config).map_err(Failure::usage)?,
        texts: RequestTexts::new(plan),
        tally: RefCell::new(Tally::new(plan.accounts.wallets.len())),
    };
    futures_util::future::try_join_all((0..count).map(|_| load.call())).await?;
    Ok(load.tally.into_inner())
}

/// The state that the callers of one thread share.
struct HttpLoad<'a> {
    plan: &'a BenchPlan,
    door: Door,
    diallers: Vec<Dialler>,
    texts: RequestTexts,
    tally: RefCell<Tally>,
}

/// A connection with the buffer for its requests.
struct PreparedConnection {
    connection: BenchConnection,
    requests: RequestWriter,
}

impl HttpLoad<'_> {
    async fn call(&self) -> Result<(), Failure> {
        let mut random = Random::new()?;
        let mut prepared = None;
        while let Some(mut batch) = TransferBatch::next(self.plan, &mut random) {
            let open = match prepared.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            prepared = self.send_batch(open, &mut batch).await?;
        }
        Ok(())
    }

    /// Gets a batch decided; returns the connection if it's still usable.
    async fn send_batch(
        &self,
        mut prepared: PreparedConnection,
        batch: &mut TransferBatch,
    ) -> Result<Option<PreparedConnection>, Failure> {
        let request = prepared.requests.write(&self.texts, batch);
        // The measured time begins when the request is ready to be sent.
        batch.started = Instant::now();
        let patience = Duration::from_millis(DEADLINE_MS) + GRACE;
        let answered = match prepared.connection.exchange(request, patience).await {
            Ok(answer) => parse_rejections(&answer, self.plan.batch == 1, batch.moves.len())?,
            Err(error) => {
                print_note(&format!("a connection was lost: {error}; asking again"));
                None
            }
        };
        match answered {
            Some(rejections) => {
                self.tally.borrow_mut().record_batch(batch, rejections, Instant::now());
                Ok((!prepared.connection.will_close()).then_some(prepared))
            }
            None => {
                drop(prepared);
                self.retry_batch(batch).await?;
                Ok(None)
            }
        }
    }

    async fn retry_batch(&self, batch: &TransferBatch) -> Result<(), Failure> {
        let commands: Vec<_> = batch.commands(self.plan).collect();
        let answered = self.door.submit_all(&commands).await;
        let mut tally = self.tally.borrow_mut();
        match answered {
            Ok(rejections) => tally.record_batch(batch, rejections, Instant::now()),
            Err(ClientError::Refused(refusal)) => return Err(refusal_failure(&refusal)),
            // Even if this attempt certainly did nothing, an earlier one may have done it.
            Err(ClientError::Unavailable(why) | ClientError::Unknown(why)) => {
                print_note(&format!(
                    "the outcome of {} transfers is unknown: {why}",
                    batch.count()
                ));
                tally.unknown += u64::from(batch.count());
            }
        }
        Ok(())
    }

    /// A connection to the primary, or to any site that answers while there is none.
    async fn connect(&self) -> Result<PreparedConnection, Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut other = None;
            let mut trouble = "client.toml names no site".to_owned();
            for dialler in &self.diallers {
                match self.connect_and_probe(dialler).await {
                    Ok((connection, true)) => {
                        return Ok(self.prepare_connection(connection, dialler));
                    }
                    Ok((connection, false)) => other = Some((connection, dialler)),
                    Err(error) => trouble = format!("{}: {error}", dialler.authority()),
                }
            }
            if let Some((connection, dialler)) = other {
                return Ok(self.prepare_connection(connection, dialler));
            }
            if Instant::now() >= give_up {
                return Err(Failure::new(Exit::Unavailable, format!("no site answers: {trouble}")));
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Connects, and asks whether the site is the primary.
    async fn connect_and_probe(
        &self,
        dialler: &Dialler,
    ) -> std::io::Result<(BenchConnection, bool)> {
        let mut connection = BenchConnection::open(dialler).await?;
        let answer = connection.exchange(&primary_probe(dialler), GRACE).await?;
        let primary = answer.status == 200;
        Ok((connection, primary))
    }

    fn prepare_connection(
        &self,
        connection: BenchConnection,
        dialler: &Dialler,
    ) -> PreparedConnection {
        let requests = RequestWriter::new(&self.plan.config, dialler, self.plan.batch);
        PreparedConnection { connection, requests }
    }
}

/// The rejections in an answer, in the order of its commands; `None`: repeat the request.
fn parse_rejections(
    answer: &RawResponse<'_>,
    single: bool,
    count: usize,
) -> Result<Option<Vec<Option<Rejection>>>, Failure> {
    match answer.status {
        200 | 201 if single => Ok(Some(vec![None])),
        422 if single => {
            let problem = read_problem(answer)?;
            Ok(Some(vec![Some(rejection(&problem.code).map_err(Failure::failed)?)]))
        }
        200 => read_results(answer.body, count).map(Some).map_err(Failure::failed),
        429 | 500.. => Ok(None),
        status => {
            let BatchProblem { code, detail } = read_problem(answer)?;
            Err(Failure::failed(format!("the site refused a batch: {status}, {code}: {detail}")))
        }
    }
}

#[derive(Deserialize)]
struct BatchProblem {
    code: String,
    #[serde(default)]
    detail: String,
}

fn read_problem(answer: &RawResponse<'_>) -> Result<BatchProblem, Failure> {
    serde_json::from_slice(answer.body).map_err(|error| {
        Failure::failed(format!("the site's {} isn't understood: {error}", answer.status))
    })
}

fn refusal_failure(refusal: &Refusal) -> Failure {
    Failure::failed(format!("the site refused a batch: {refusal}"))
}
