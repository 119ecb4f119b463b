//! Row d: the primary is isolated, in both directions, only in, only out. The others continue; the
//! isolated site acknowledges nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::ensure;
use evenkeel_wire::{
    client::{Client, ClientOptions},
    transfer::TransferKind,
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{site::Site, testnet::Testnet, up},
    load::{
        Load,
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
    relay::{Cut, Order},
};

const NEW_PRIMARY_WITHIN: Duration = Duration::from_secs(5);
/// The shortest cut: long enough for a misbehaving old primary to do harm.
const CUT_LASTS: Duration = Duration::from_secs(6);
const BOTH: Cut = Cut { incoming: true, outgoing: true };

pub(crate) async fn cut_all_directions(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let only_in = Cut { incoming: true, outgoing: false };
    let only_out = Cut { incoming: false, outgoing: true };
    for (name, cut) in [("both ways", BOTH), ("only in", only_in), ("only out", only_out)] {
        cut_one_direction(testnet, &load, name, cut, sheet).await?;
    }
    stage::finish_and_audit(testnet, load, sheet).await
}

async fn cut_one_direction(
    testnet: &Testnet,
    load: &Load,
    name: &str,
    cut: Cut,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let old = up::await_caught_up(testnet, PATIENCE).await?;
    let stranded = IsolatedClient::prepare(testnet, old).await?;
    let relay = testnet.relay_control()?;
    let start = Instant::now();
    load.monitor().inject_fault(|| relay.order(Order::Cut { node: old.node, cut }))?;
    let stranded = stranded.start_sending();
    let rto = load.await_first_after_fault(PATIENCE).await?;
    sheet.takes_at_most(&format!("{name}: next commit at a new primary"), rto, NEW_PRIMARY_WITHIN);
    let new = testnet.primary().await?;
    sheet.record_claim(
        format!("{name}: {} took over from {}", new.name, old.name),
        new.node != old.node,
    );
    sleep(CUT_LASTS.saturating_sub(start.elapsed())).await;
    let (tried, acknowledged) = stranded.stop_and_count();
    sheet.record_claim(
        format!(
            "{name}: {} acknowledged {acknowledged} of {tried} commands during the cut",
            old.name
        ),
        tried > 0 && acknowledged == 0,
    );
    relay.order(Order::Heal { node: old.node, cut: BOTH })?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

/// A client with its own accounts that connects only to the isolated site.
struct IsolatedClient {
    client: Client,
    accounts: Arc<LoadAccounts>,
}

/// The client's attempts during the cut.
struct RunningAttempts {
    counts: Arc<AttemptCounts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct AttemptCounts {
    ended: AtomicBool,
    tried: AtomicU64,
    acknowledged: AtomicU64,
}

impl IsolatedClient {
    async fn prepare(testnet: &Testnet, site: &Site) -> anyhow::Result<Self> {
        let options =
            ClientOptions { deadline: Duration::from_secs(2), ..ClientOptions::default() };
        let client = Client::connect(stage::config_of_site(testnet, site)?, options);
        let accounts = Arc::new(LoadAccounts::draw(2));
        let mut history = History::new(Arc::clone(&accounts));
        accounts::open(&client, &accounts, &mut history).await?;
        ensure!(client.current_site().is_some(), "the client isn't connected to a site");
        Ok(Self { client, accounts })
    }

    /// Starts sending; every command is sent after the cut.
    fn start_sending(self) -> RunningAttempts {
        let counts = Arc::new(AttemptCounts::default());
        let shared = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while !shared.ended.load(SeqCst) {
                let (client, counts) = (self.client.clone(), Arc::clone(&shared));
                // One minor unit from the bank to the first wallet.
                let command =
                    CompactTransfer::new(TransferKind::TopUp, 0, 5, 1).to_command(&self.accounts);
                counts.tried.fetch_add(1, SeqCst);
                calls.spawn(async move {
                    if client.submit(&[command]).await.is_ok() {
                        counts.acknowledged.fetch_add(1, SeqCst);
                    }
                });
                sleep(Duration::from_millis(20)).await;
            }
        });
        RunningAttempts { counts, task }
    }
}

impl RunningAttempts {
    /// Stops; returns how many commands were tried and how many were acknowledged.
    fn stop_and_count(self) -> (u64, u64) {
        self.counts.ended.store(true, SeqCst);
        let counted = (self.counts.tried.load(SeqCst), self.counts.acknowledged.load(SeqCst));
        self.task.abort();
        counted
    }
}
