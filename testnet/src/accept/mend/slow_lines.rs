//! Row 14: a slow line between the sites, and a burst at a follower that is twelve times what the
//! line carries in a second. Everything is answered, nothing is sent twice, nobody is elected.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use evenkeel_wire::{
    client::{
        Client, ClientOptions,
        raw::{Connector, RawConnection, Reply},
    },
    codec,
    command::Command,
    reply::View,
    request::{Consistency, Query, Submit},
    transfer::{Text, TransferKind},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    accept::{sheet::ResultSheet, stage},
    cluster::{testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
    relay::{LinkConditions, Order},
};

/// The line's rate, in bytes a second.
const RATE: u64 = 5_000_000;
/// The burst, in bytes of commands.
const BURST_BYTES: usize = 60 << 20;
/// Commands of one request: about 1 MiB.
const BATCH: usize = 4_096;
const CONNECTIONS: usize = 4;
const DEADLINE_MS: u32 = 60_000;
const ANSWERED_WITHIN: Duration = Duration::from_secs(62);

pub(super) async fn burst_over_a_slow_line(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let accounts = LoadAccounts::draw(8);
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let mut history = History::new(accounts.clone().into());
    accounts::open(&client, &accounts, &mut history).await?;
    let before = wallets_total(&client, &accounts).await?;
    let terms = terms(testnet).await;

    let follower = stage::follower(testnet).await?;
    let config = stage::config_of_site(testnet, follower)?;
    let address = config.sites.first().context("no site")?;
    let connector = Connector::new(&config)?;
    let link = LinkConditions { rate: Some(RATE), ..LinkConditions::default() };
    testnet.relay_control()?.order(Order::Link(link))?;
    let (requests, commands) = burst(&accounts);
    let mut sending = JoinSet::new();
    let start = Instant::now();
    for part in requests.chunks(requests.len().div_ceil(CONNECTIONS)) {
        let connection = connector.connect(address).await?;
        sending.spawn(send(connection, part.to_vec()));
    }
    let mut total = Answers::default();
    while let Some(ended) = sending.join_next().await {
        total.add(&ended??);
    }
    let took = start.elapsed();
    testnet.relay_control()?.order(Order::Link(LinkConditions::default()))?;

    sheet.record_claim(
        format!(
            "{} MiB in {} requests at {} over {RATE} bytes a second: answered in {:.1} s",
            BURST_BYTES >> 20,
            requests.len(),
            follower.name,
            took.as_secs_f64()
        ),
        total.committed == commands,
    );
    sheet.record_claim(
        format!("{} of {commands} committed; refused: {:?}", total.committed, total.refused),
        total.committed == commands && total.refused.is_empty(),
    );
    let after = wallets_total(&client, &accounts).await?;
    let moved = i64::try_from(commands)?;
    sheet.record_claim(
        format!("each took effect once: {} moved", after - before),
        after - before == moved,
    );
    sheet.record_claim("nobody was elected meanwhile", terms == self::terms(testnet).await);
    for line in LINES_OF_TROUBLE {
        let logs: Vec<String> = testnet.sites.iter().map(|site| site.log_since(0)).collect();
        let said = logs.iter().flat_map(|log| log.lines()).filter(|said| said.contains(line));
        sheet.record_claim(format!("no site says: {line}"), said.count() == 0);
    }
    Ok(())
}

/// What a site says whose heartbeats wait behind entries, or whose introduction does.
const LINES_OF_TROUBLE: [&str; 3] =
    ["no primary with a majority is left", "lost a peer", "kind=rolled_back"];

/// The requests of the burst, and the number of their commands.
fn burst(accounts: &LoadAccounts) -> (Vec<Submit>, usize) {
    let memo = Text::new(&"slow line ".repeat(14)).expect("140 bytes");
    let (mut requests, mut bytes, mut count) = (Vec::new(), 0, 0);
    // The first account is the bank, and the wallets follow the merchants.
    let wallets: Vec<u16> = (0..accounts.all.len())
        .filter_map(|place| u16::try_from(place).ok())
        .filter(|place| accounts.get(*place).asset == accounts.get(0).asset)
        .filter(|place| accounts.get(*place).kind == evenkeel_wire::account::AccountKind::Wallet)
        .collect();
    while bytes < BURST_BYTES {
        let mut commands = Vec::new();
        for _ in 0..BATCH {
            let credit = wallets[count % wallets.len()];
            let transfer = CompactTransfer::new(TransferKind::TopUp, 0, credit, 1);
            let Command::Transfer(mut transfer) = transfer.to_command(accounts) else {
                unreachable!("it's a transfer");
            };
            transfer.memo = memo.clone();
            codec::encode_into(&Command::Transfer(transfer), &mut commands);
            count += 1;
        }
        bytes += commands.len();
        let number = u64::try_from(requests.len()).expect("few");
        requests.push(Submit {
            number,
            deadline_ms: DEADLINE_MS,
            count: u32::try_from(BATCH).expect("few"),
            atomic: false,
            commands: commands.into(),
        });
    }
    (requests, count)
}

#[derive(Debug, Default)]
struct Answers {
    committed: usize,
    refused: Vec<String>,
}

impl Answers {
    fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.refused.extend_from_slice(&other.refused);
    }
}

/// Sends all at once, and reads the answers meanwhile.
async fn send(connection: RawConnection, requests: Vec<Submit>) -> anyhow::Result<Answers> {
    let (mut sender, mut receiver) = connection.split();
    let expected = requests.len();
    let sending = tokio::spawn(async move {
        for submit in requests {
            let mut frame = Vec::new();
            submit.write(&mut frame);
            sender.send_bytes(frame.into()).await?;
        }
        anyhow::Ok(sender)
    });
    let mut answers = Answers::default();
    for _ in 0..expected {
        let received = timeout(ANSWERED_WITHIN, receiver.receive()).await;
        let frame = received.context("no answer in time")??.context("the site ended the stream")?;
        match Reply::read(&frame)? {
            Reply::Outcomes(outcomes) => {
                let committed = outcomes.answers.iter();
                let committed = committed.filter(|answer| answer.outcome.rejection.is_none());
                answers.committed += committed.count();
            }
            Reply::Refused(refused) => answers.refused.push(refused.refusal.to_string()),
            Reply::View(_) => bail!("a view answers no command"),
        }
    }
    drop(sending.await??);
    Ok(answers)
}

async fn wallets_total(client: &Client, accounts: &LoadAccounts) -> anyhow::Result<i64> {
    let view = client.read(Query::Totals, Consistency::Linearizable).await?.view;
    let View::Totals(totals) = view else { bail!("not the totals") };
    let row = totals.assets.iter().find(|row| row.asset == accounts.get(0).asset);
    let row = row.context("no such asset")?;
    ensure!(row.bank <= 0, "the bank owes what the wallets hold");
    Ok(row.wallet)
}

/// The terms that the sites know.
async fn terms(testnet: &Testnet) -> Vec<Option<u64>> {
    let statuses = testnet.statuses().await;
    statuses.into_iter().map(|status| status.ok().map(|status| status.term)).collect()
}
