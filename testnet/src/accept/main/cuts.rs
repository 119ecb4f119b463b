//! Row d: the primary is cut off, both ways, only in, only out. The others go on; it acknowledges nothing meanwhile.

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
    sheet::Sheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{site::Site, testnet::Testnet, up},
    load::{
        Load,
        accounts::{self, Accounts},
        history::{Asked, History},
    },
    relay::{Cut, Order},
};

const NEW_PRIMARY_WITHIN: Duration = Duration::from_secs(5);
/// How long the cut lasts at least, so that the old primary has every chance to do harm.
const CUT_LASTS: Duration = Duration::from_secs(6);
const BOTH: Cut = Cut { incoming: true, outgoing: true };

pub(crate) async fn all_directions(testnet: &Testnet, sheet: &mut Sheet) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let only_in = Cut { incoming: true, outgoing: false };
    let only_out = Cut { incoming: false, outgoing: true };
    for (name, cut) in [("both ways", BOTH), ("only in", only_in), ("only out", only_out)] {
        one_direction(testnet, &load, name, cut, sheet).await?;
    }
    stage::settle(testnet, load, sheet).await
}

async fn one_direction(
    testnet: &Testnet,
    load: &Load,
    name: &str,
    cut: Cut,
    sheet: &mut Sheet,
) -> anyhow::Result<()> {
    let old = up::await_caught_up(testnet, PATIENCE).await?;
    let stranded = Stranded::prepare(testnet, old).await?;
    let relay = testnet.relay()?;
    let start = Instant::now();
    load.pulse().fault(|| relay.order(Order::Cut { node: old.node, cut }))?;
    let stranded = stranded.begin();
    let rto = load.first_after_fault(PATIENCE).await?;
    sheet.within(&format!("{name}: next commit at a new primary"), rto, NEW_PRIMARY_WITHIN);
    let new = testnet.primary().await?;
    sheet.hold(format!("{name}: {} took over from {}", new.name, old.name), new.node != old.node);
    sleep(CUT_LASTS.saturating_sub(start.elapsed())).await;
    let (tried, acknowledged) = stranded.end();
    sheet.hold(
        format!("{name}: {} acknowledged {acknowledged} of {tried} commands meanwhile", old.name),
        tried > 0 && acknowledged == 0,
    );
    relay.order(Order::Heal { node: old.node, cut: BOTH })?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

/// A client that knows only the site that is cut off, and accounts of its own.
struct Stranded {
    client: Client,
    accounts: Arc<Accounts>,
}

/// What it does meanwhile.
struct Trying {
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    ended: AtomicBool,
    tried: AtomicU64,
    acknowledged: AtomicU64,
}

impl Stranded {
    async fn prepare(testnet: &Testnet, site: &Site) -> anyhow::Result<Self> {
        let options =
            ClientOptions { deadline: Duration::from_secs(2), ..ClientOptions::default() };
        let client = Client::connect(stage::only(testnet, site)?, options);
        let accounts = Arc::new(Accounts::draw(2));
        let mut history = History::new(Arc::clone(&accounts));
        accounts::open(&client, &accounts, &mut history).await?;
        ensure!(client.site().is_some(), "the client doesn't know whom it talks to");
        Ok(Self { client, accounts })
    }

    /// All that it sends, it sends after the cut.
    fn begin(self) -> Trying {
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while !shared.ended.load(SeqCst) {
                let (client, counts) = (self.client.clone(), Arc::clone(&shared));
                // One minor unit from the bank to the first wallet.
                let command = Asked::new(TransferKind::TopUp, 0, 5, 1).command(&self.accounts);
                counts.tried.fetch_add(1, SeqCst);
                calls.spawn(async move {
                    if client.submit(&[command]).await.is_ok() {
                        counts.acknowledged.fetch_add(1, SeqCst);
                    }
                });
                sleep(Duration::from_millis(20)).await;
            }
        });
        Trying { counts, task }
    }
}

impl Trying {
    /// How many it tried, and how many were acknowledged until now.
    fn end(self) -> (u64, u64) {
        self.counts.ended.store(true, SeqCst);
        let counted = (self.counts.tried.load(SeqCst), self.counts.acknowledged.load(SeqCst));
        self.task.abort();
        counted
    }
}
