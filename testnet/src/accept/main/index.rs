//! Row `main.index`: a follower's index is damaged while the node runs. A read detects it, and the
//! index is rebuilt beside the road. When apply needs the index, the node stops instead of
//! guessing, and rebuilds it at the next start.

use std::{fs, time::Duration};

use anyhow::{Context, bail, ensure};
use evenkeel_wire::{
    amount::Amount,
    client::{Client, ClientError, ClientOptions},
    command::Command,
    outcome::Rejection,
    reply::{RefusalCode, View},
    request::{Consistency, Query},
    transfer::TransferKind,
};
use tokio::time::{Instant, sleep};

use super::damage::{files_below, line_with};
use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{nodes, site::Site, testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

const BLOCK: usize = 4_096;
const REBUILT_WITHIN: Duration = Duration::from_secs(120);
/// Indexes into [`LoadAccounts`] of two wallets of each asset.
const ANN: u16 = 5;
const BOB: u16 = 6;

pub(crate) async fn check_damaged_index(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(2);
    accounts::open(&client, &accounts, &mut History::new(accounts.clone().into())).await?;
    let old: Vec<Command> = (0..100)
        .map(|_| CompactTransfer::new(TransferKind::Transfer, ANN, BOB, 1).to_command(&accounts))
        .collect();
    client.submit(&old).await?;
    let site = stage::follower(testnet).await?;
    stage::await_checkpoint(testnet, site).await?;
    // Restarts from the checkpoint: earlier outcomes are then known only from the indexes.
    nodes::stop(testnet, site).await?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;

    let reader = LocalReader::new(
        testnet,
        site,
        Query::History { account: accounts.get(ANN).id, limit: 1_000, before: None },
    )?;
    let whole = reader.read_local().await?.context("a whole index refused to answer")?;
    check_found_by_reader(testnet, site, &reader, &whole, sheet).await?;
    check_found_by_apply(testnet, site, &client, &old, sheet).await?;
    let again = reader.read_local().await?;
    sheet.record_claim("… and the history is unchanged", again.as_ref() == Some(&whole));
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("the digests of all sites are equal", equal);
    Ok(())
}

/// Reads from one site only, from its local state.
struct LocalReader {
    client: Client,
    query: Query,
}

impl LocalReader {
    fn new(testnet: &Testnet, site: &Site, query: Query) -> anyhow::Result<Self> {
        let options =
            ClientOptions { deadline: Duration::from_millis(500), ..ClientOptions::default() };
        Ok(Self { client: Client::connect(stage::config_of_site(testnet, site)?, options), query })
    }

    /// `None` when the site can't answer at the moment.
    async fn read_local(&self) -> anyhow::Result<Option<View>> {
        match self.client.read(self.query.clone(), Consistency::Local).await {
            Ok(reply) => Ok(Some(reply.view)),
            Err(ClientError::Unavailable(why)) if why.contains(RefusalCode::Recovering.name()) => {
                Ok(None)
            }
            Err(error) => bail!("neither a page nor `recovering`: {error}"),
        }
    }
}

/// Changes every block of the oldest index except the header.
fn damage(site: &Site) -> anyhow::Result<String> {
    let files = files_below(&site.data().join("journal"))?;
    let index = files.iter().find(|path| path.extension().is_some_and(|end| end == "index"));
    let index = index.context("no index")?;
    let mut bytes = fs::read(index)?;
    ensure!(bytes.len() > BLOCK, "an index without rows");
    bytes.iter_mut().skip(BLOCK + 8).step_by(BLOCK).for_each(|byte| *byte ^= 0x40);
    // In place: the node has the file open.
    let file = fs::OpenOptions::new().write(true).open(index)?;
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0)?;
    let name = index.file_name().and_then(|name| name.to_str()).context("a name")?;
    Ok(name.to_owned())
}

async fn check_found_by_reader(
    testnet: &Testnet,
    site: &Site,
    reader: &LocalReader,
    whole: &View,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let log = site.log_length();
    let process = testnet.demand_process(site)?;
    let name = damage(site)?;
    let refused = reader.read_local().await?.is_none();
    sheet.record_claim(
        format!("{}: {name} damaged; its history is `recovering`", site.name),
        refused,
    );
    let said = line_with(&site.log_since(log), &["index", "set aside"]);
    sheet.record_claim(format!("log: {}", said.as_deref().unwrap_or("nothing")), said.is_some());
    let start = Instant::now();
    let mut again = None;
    while again.is_none() && start.elapsed() < REBUILT_WITHIN {
        sleep(Duration::from_millis(100)).await;
        again = reader.read_local().await?;
    }
    sheet.takes_at_most("rebuilt while the node runs, after", start.elapsed(), REBUILT_WITHIN);
    sheet.record_claim("the same page again", again.as_ref() == Some(whole));
    sheet.record_claim("the same process", !process.is_gone());
    Ok(())
}

async fn check_found_by_apply(
    testnet: &Testnet,
    site: &Site,
    client: &Client,
    old: &[Command],
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let log = site.log_length();
    let process = testnet.demand_process(site)?;
    damage(site)?;
    // Repeats are answered by the primary alone: every site judges the same ids with other content.
    let changed = |command: &Command| match command.clone() {
        Command::Transfer(mut transfer) => {
            transfer.amount = Amount(2);
            Command::Transfer(transfer)
        }
        other => other,
    };
    let answers = client.submit(&old.iter().map(changed).collect::<Vec<_>>()).await?;
    let judged = answers
        .iter()
        .filter(|answer| answer.outcome.rejection == Some(Rejection::IdReused))
        .count();
    sheet.record_claim(
        format!("damaged again, and old ids sent with other content: {judged} id_reused"),
        judged == old.len(),
    );
    let stopped = process.await_gone(Duration::from_secs(10)).await;
    let line = line_with(&site.log_since(log), &["stopped by itself", "start again"]);
    sheet.record_claim(
        format!(
            "{} stops instead of guessing: {}",
            site.name,
            line.as_deref().unwrap_or("no such line in its log")
        ),
        stopped && line.is_some(),
    );
    let log = site.log_length();
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    let line = line_with(&site.log_since(log), &["recovered", "indexes_rebuilt=1"]);
    let said = line.as_deref().unwrap_or("nothing");
    sheet.record_claim(format!("started again, it has caught up; log: {said}"), line.is_some());
    Ok(())
}
