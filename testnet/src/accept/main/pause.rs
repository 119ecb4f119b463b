//! Row e: the primary is stopped for 10 s under load, and still considers itself primary when it
//! resumes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::ensure;
use evenkeel_wire::{
    client::{Client, ClientOptions},
    reply::View,
    request::{Consistency, Query},
    transfer::TransferKind,
};
use rustix::process::Signal;
use tokio::{task::JoinSet, time::sleep};

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

const PAUSE: Duration = Duration::from_secs(10);
const AFTERWARDS: Duration = Duration::from_secs(3);
const READERS: usize = 8;
/// The bank and the first wallet of [`LoadAccounts`].
const BANK: u16 = 0;
const WALLET: u16 = 5;

pub(crate) async fn pause_primary(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let old = up::await_caught_up(testnet, PATIENCE).await?;
    let process = testnet.demand_process(old)?;
    let register = Register::open(testnet).await?;
    let mut tasks = JoinSet::new();
    let options = || ClientOptions { deadline: Duration::from_secs(1), ..ClientOptions::default() };
    tasks.spawn(Arc::clone(&register).write());
    for _ in 0..READERS {
        let client = Client::connect(stage::config_of_site(testnet, old)?, options());
        tasks.spawn(Arc::clone(&register).read(client));
    }
    sleep(Duration::from_secs(1)).await;
    let before = register.reads.load(SeqCst);
    ensure!(before > 0, "no read was answered before the pause");

    load.monitor().inject_fault(|| process.signal(Signal::STOP))?;
    let rto = load.await_first_after_fault(PATIENCE).await?;
    sheet.takes_at_most("next commit at a new primary", rto, Duration::from_secs(5));
    sleep(PAUSE.saturating_sub(rto)).await;
    let written = register.acknowledged.load(SeqCst);
    process.signal(Signal::CONT)?;
    sleep(AFTERWARDS).await;
    up::await_caught_up(testnet, PATIENCE).await?;
    register.ended.store(true, SeqCst);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let after = register.reads.load(SeqCst) - before;
    let stale = register.stale.load(SeqCst);
    sheet.record_claim(
        format!("writes were acknowledged during the pause: {written} in all"),
        written > 0,
    );
    sheet.at_least("linearizable reads answered by the old primary afterwards", after, 1, "");
    sheet.at_most("stale among them and all others", stale, 0, "");
    stage::finish_and_audit(testnet, load, sheet).await
}

/// One wallet with a single writer that adds one unit at a time: a balance shows exactly which
/// writes a read has seen.
struct Register {
    writer: Client,
    accounts: Arc<LoadAccounts>,
    /// The wallet's balance before the first write.
    base: i64,
    started: AtomicI64,
    acknowledged: AtomicI64,
    reads: AtomicU64,
    stale: AtomicU64,
    ended: AtomicBool,
}

impl Register {
    async fn open(testnet: &Testnet) -> anyhow::Result<Arc<Self>> {
        let config = stage::client_config(testnet)?;
        let writer = Client::connect(config, ClientOptions::default());
        let accounts = Arc::new(LoadAccounts::draw(2));
        let mut history = History::new(Arc::clone(&accounts));
        accounts::open(&writer, &accounts, &mut history).await?;
        let credited =
            history.acknowledged.iter().filter(|record| record.transfer.credit == WALLET);
        let base = credited.map(|record| record.outcome.credit_after).max().unwrap_or(0);
        Ok(Arc::new(Self {
            writer,
            accounts,
            base,
            started: AtomicI64::new(0),
            acknowledged: AtomicI64::new(0),
            reads: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }))
    }

    async fn write(self: Arc<Self>) -> anyhow::Result<()> {
        while !self.ended.load(SeqCst) {
            let command = CompactTransfer::new(TransferKind::TopUp, BANK, WALLET, 1)
                .to_command(&self.accounts);
            self.started.fetch_add(1, SeqCst);
            // Retries the same command until it's answered: no other write may come in between.
            while self.writer.submit(std::slice::from_ref(&command)).await.is_err() {
                ensure!(!self.ended.load(SeqCst), "a write was never answered");
            }
            self.acknowledged.fetch_add(1, SeqCst);
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn read(self: Arc<Self>, client: Client) -> anyhow::Result<()> {
        let query = Query::Account(self.accounts.get(WALLET).id);
        while !self.ended.load(SeqCst) {
            let at_least = self.base + self.acknowledged.load(SeqCst);
            let Ok(reply) = client.read(query.clone(), Consistency::Linearizable).await else {
                sleep(Duration::from_millis(1)).await;
                continue;
            };
            let at_most = self.base + self.started.load(SeqCst);
            let View::Account(view) = reply.view else { anyhow::bail!("not an account") };
            self.reads.fetch_add(1, SeqCst);
            if !(at_least..=at_most).contains(&view.posted) {
                self.stale.fetch_add(1, SeqCst);
            }
        }
        Ok(())
    }
}
