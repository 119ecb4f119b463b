//! The connections of one thread. Requests and replies are pipelined and handled in groups.
//!
//! The fast road is one connection to the primary. When a request fails there (temporary refusal,
//! lost connection), the retrying client, which follows the primary, sends it again with the same
//! ids, so that no transfer is made twice.

use std::{cell::RefCell, io, mem};

use bytes::Bytes;
use evenkeel_wire::{
    client::{
        Client, ClientError, SiteAddress,
        raw::{Connector, RawConnection, RawReceiver, RawSender, Reply},
    },
    frame::Frame,
    reply::{Outcomes, Refusal},
};
use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep},
};

use super::{
    BenchPlan, PATIENCE, batch::TransferBatch, figures::Tally, patient_options, table::CallerTable,
};
use crate::{Exit, Failure, output::print_note};

const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

type Retries<'a> =
    FuturesUnordered<LocalBoxFuture<'a, (usize, TransferBatch, Result<Outcomes, ClientError>)>>;

/// Drives one connection per entry of `callers`.
pub(crate) async fn drive_connections(
    plan: &BenchPlan,
    callers: &[usize],
) -> Result<Tally, Failure> {
    let connector = Connector::new(&plan.config).map_err(Failure::failed)?;
    let client = Client::connect(plan.config.clone(), patient_options());
    let tally = RefCell::new(Tally::new(plan.accounts.wallets.len()));
    let driven = callers.iter().map(|callers| {
        let driver = Driver { plan, connector: &connector, client: &client, tally: &tally };
        async move { driver.run(*callers).await }
    });
    futures_util::future::try_join_all(driven).await?;
    Ok(tally.into_inner())
}

struct Driver<'a> {
    plan: &'a BenchPlan,
    connector: &'a Connector,
    client: &'a Client,
    tally: &'a RefCell<Tally>,
}

impl<'a> Driver<'a> {
    async fn run(&self, callers: usize) -> Result<(), Failure> {
        let mut table = CallerTable::new(self.plan, callers)?;
        let mut again = Retries::new();
        while !table.is_done() {
            let connection = self.connect().await?;
            let lost = self.run_connection(connection, &mut table, &mut again).await?;
            let Some(error) = lost else { break };
            print_note(&format!("a connection was lost: {error}; retrying"));
            for (caller, batch) in table.take_all() {
                again.push(self.retry_batch(caller, batch));
            }
            while let Some(answered) = again.next().await {
                self.record_retry(&mut table, answered)?;
            }
        }
        Ok(())
    }

    /// Connects to the primary, or to any answering site while the primary is unknown.
    async fn connect(&self) -> Result<RawConnection, Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut trouble = String::new();
            for site in &self.plan.config.sites {
                match self.connector.connect(site).await {
                    Ok(connection) => return Ok(self.prefer_primary(connection).await),
                    Err(error) => trouble = error.to_string(),
                }
            }
            if Instant::now() >= give_up {
                return Err(Failure::new(Exit::Unavailable, format!("no site answers: {trouble}")));
            }
            sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Replaces the connection by one to the primary that it names, if that differs.
    async fn prefer_primary(&self, connection: RawConnection) -> RawConnection {
        let welcome = connection.welcome();
        let primary: Option<&SiteAddress> = welcome
            .primary
            .filter(|primary| *primary != welcome.node)
            .and_then(|primary| self.plan.config.sites.iter().find(|site| site.node == primary));
        match primary {
            Some(primary) => self.connector.connect(primary).await.unwrap_or(connection),
            None => connection,
        }
    }

    /// Keeps every caller busy. Returns `None` when all work is done, otherwise the reason for the
    /// lost connection.
    async fn run_connection(
        &self,
        connection: RawConnection,
        table: &mut CallerTable<'a>,
        again: &mut Retries<'a>,
    ) -> Result<Option<io::Error>, Failure> {
        let (sender, mut receiver) = connection.split();
        let outgoing = RefCell::new(Vec::new());
        let wake = Notify::new();
        table.start_idle(&mut outgoing.borrow_mut());
        wake.notify_one();
        let writing = write(&outgoing, &wake, sender);
        tokio::pin!(writing);
        loop {
            if table.is_done() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                error = &mut writing => return Ok(Some(error)),
                read = receiver.receive() => match read {
                    Ok(Some(frame)) => self.handle_replies(frame, &mut receiver, table, again)?,
                    Ok(None) => return Ok(Some(io::ErrorKind::UnexpectedEof.into())),
                    Err(error) => return Ok(Some(error)),
                },
                Some(answered) = again.next() => self.record_retry(table, answered)?,
            }
            table.start_idle(&mut outgoing.borrow_mut());
            wake.notify_one();
        }
    }

    /// Handles this reply and all others already received with it.
    fn handle_replies(
        &self,
        first: Frame,
        receiver: &mut RawReceiver,
        table: &mut CallerTable<'a>,
        again: &mut Retries<'a>,
    ) -> Result<(), Failure> {
        let now = Instant::now();
        let mut next = Some(first);
        while let Some(frame) = next {
            self.handle_reply(&frame, now, table, again)?;
            next = receiver.try_receive().map_err(Failure::failed)?;
        }
        Ok(())
    }

    fn handle_reply(
        &self,
        frame: &Frame,
        now: Instant,
        table: &mut CallerTable<'a>,
        again: &mut Retries<'a>,
    ) -> Result<(), Failure> {
        match Reply::read(frame).map_err(Failure::failed)? {
            Reply::Outcomes(outcomes) => {
                let (caller, batch) = table.take_batch(outcomes.number)?;
                let tally = &mut self.tally.borrow_mut();
                table.settle_batch(caller, &batch, &outcomes.answers, now, tally)
            }
            Reply::Refused(refused) if refused.refusal.code.is_retryable() => {
                let (caller, batch) = table.take_batch(refused.number)?;
                again.push(self.retry_batch(caller, batch));
                Ok(())
            }
            Reply::Refused(refused) => Err(refusal_failure(&refused.refusal)),
            Reply::View(_) => Err(Failure::failed("the site sent a view without a query")),
        }
    }

    fn retry_batch(
        &self,
        caller: usize,
        batch: TransferBatch,
    ) -> LocalBoxFuture<'a, (usize, TransferBatch, Result<Outcomes, ClientError>)> {
        let (client, plan) = (self.client, self.plan);
        Box::pin(async move {
            let mut bytes = Vec::new();
            batch.encode_into(plan, &mut bytes);
            let answered = client.submit_encoded(batch.count(), false, Bytes::from(bytes)).await;
            (caller, batch, answered)
        })
    }

    fn record_retry(
        &self,
        table: &mut CallerTable<'_>,
        (caller, batch, answered): (usize, TransferBatch, Result<Outcomes, ClientError>),
    ) -> Result<(), Failure> {
        let mut tally = self.tally.borrow_mut();
        match answered {
            Ok(outcomes) => {
                table.settle_batch(caller, &batch, &outcomes.answers, Instant::now(), &mut tally)
            }
            Err(ClientError::Refused(refused)) => Err(refusal_failure(&refused)),
            // Even if this attempt certainly had no effect, an earlier one may have had one.
            Err(ClientError::Unavailable(why) | ClientError::Unknown(why)) => {
                print_note(&format!(
                    "the outcome of {} transfers is unknown: {why}",
                    batch.count()
                ));
                tally.unknown += u64::from(batch.count());
                table.free(caller);
                Ok(())
            }
        }
    }
}

fn refusal_failure(refusal: &Refusal) -> Failure {
    Failure::failed(format!("the site refused a batch: {refusal}"))
}

/// Sends the gathered frames until the connection fails.
async fn write(outgoing: &RefCell<Vec<u8>>, wake: &Notify, mut sender: RawSender) -> io::Error {
    loop {
        wake.notified().await;
        loop {
            let frames = mem::take(&mut *outgoing.borrow_mut());
            if frames.is_empty() {
                break;
            }
            if let Err(error) = sender.send_bytes(frames.into()).await {
                return error;
            }
        }
    }
}
