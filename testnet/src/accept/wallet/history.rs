//! Row history: an account with a million entries, read page by page over HTTP while new entries
//! arrive, and again from another node after the primary is killed.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use evenkeel_http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::accept::{
    main::{footprint::resident_mib, speed::bench_between},
    sheet::ResultSheet,
    stage::PATIENCE,
};
use crate::cluster::{http::Door, nodes, site::Site, testnet::Testnet, up};

const ENTRIES: u64 = 1_000_000;
const PAGE: u64 = 100;
const NEWEST_TIMES: usize = 1_000;
/// A new entry is added after this many pages.
const NEWS_EVERY: usize = 100;
const P99: Duration = Duration::from_millis(20);
const RESIDENT_MIB: u64 = 400;

/// An entry of a history: its position and index, and its JSON as the node sent it.
type Entry = ((u64, u64), String);

pub(crate) async fn million_entries(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    bench_between(testnet, 2, ENTRIES, 8_192, 4).await?;
    let primary = up::await_caught_up(testnet, PATIENCE).await?;
    let mut reading = HistoryReader::of_a_wallet(testnet, primary).await?;

    let mut newest = Vec::with_capacity(NEWEST_TIMES);
    for _ in 0..NEWEST_TIMES {
        newest.push(reading.page(None).await?.1);
    }
    sheet.takes_at_most("the newest page: p99", p99(&mut newest), P99);

    let (entries, mut times) = reading.read_all(true).await?;
    sheet.takes_at_most("every page, while new entries arrive: p99", p99(&mut times), P99);
    sheet.at_least("entries of the account", entries.len() as u64, ENTRIES, "");
    sheet.record_claim("newest first: none twice, none out of order", is_descending(&entries));
    let resident = resident_mib(testnet, primary)?;
    sheet.at_most("the node's resident memory afterwards", resident, RESIDENT_MIB, " MiB");

    nodes::kill(testnet, primary).await?;
    let successor = await_successor(testnet, primary).await?;
    reading.door = Door::new(successor.http_address(), Some(&testnet.operator_key()?));
    let (after, mut times) = reading.read_all(false).await?;
    sheet.takes_at_most("every page at the next primary: p99", p99(&mut times), P99);
    let news = after.len().saturating_sub(entries.len());
    sheet.record_claim(format!("{news} entries are new"), news == reading.news);
    sheet.record_claim(
        "all others are the same to the byte",
        after.get(news..) == Some(&entries[..]),
    );
    nodes::start(testnet, primary).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

/// Waits for the site that becomes primary after another one is gone.
async fn await_successor<'a>(testnet: &'a Testnet, gone: &Site) -> anyhow::Result<&'a Site> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        for site in testnet.sites.iter().filter(|site| site.node != gone.node) {
            let mut door = Door::new(site.http_address(), None);
            if door.get("/primary").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(site);
            }
        }
    }
    bail!("no site became primary")
}

/// Reads the history of one of the bench's two wallets.
struct HistoryReader {
    door: Door,
    wallet: String,
    /// The bench's other wallet.
    other: String,
    /// The number of entries added during the reads.
    news: usize,
}

impl HistoryReader {
    async fn of_a_wallet(testnet: &Testnet, site: &Site) -> anyhow::Result<Self> {
        let key = testnet.operator_key()?;
        let mut door = Door::new(site.http_address(), Some(&key));
        let [wallet, other] = two_wallets(&mut door).await?;
        // The stream of events occupies its own connection.
        let door = Door::new(site.http_address(), Some(&key));
        Ok(Self { door, wallet, other, news: 0 })
    }

    async fn page(&mut self, cursor: Option<&str>) -> anyhow::Result<(Value, Duration)> {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("/v1/accounts/{}/transfers?limit={PAGE}{cursor}", self.wallet);
        let start = Instant::now();
        let answer = self.door.get(&path).await?;
        let time = start.elapsed();
        ensure!(answer.status == 200, "{path}: {}: {}", answer.status, answer.code());
        Ok((answer.json()?, time))
    }

    /// Reads from the newest entry to the oldest; with `news`, new entries are added meanwhile.
    async fn read_all(&mut self, news: bool) -> anyhow::Result<(Vec<Entry>, Vec<Duration>)> {
        let (mut entries, mut times) = (Vec::new(), Vec::new());
        let mut cursor: Option<String> = None;
        loop {
            let (page, time) = self.page(cursor.as_deref()).await?;
            times.push(time);
            for item in page["items"].as_array().context("no items")? {
                let number = |name: &str| item[name].as_u64().with_context(|| format!("no {name}"));
                entries.push(((number("position")?, number("index")?), item.to_string()));
            }
            if news && times.len() % NEWS_EVERY == 0 {
                self.add_one().await?;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok((entries, times)),
            }
        }
    }

    async fn add_one(&mut self) -> anyhow::Result<()> {
        let body = json!({
            "id": Uuid::now_v7().to_string(), "kind": "transfer", "debit": self.wallet,
            "credit": self.other, "amount": 1, "asset": "KRW",
        });
        let answer = self.door.post("/v1/transfers", &body).await?;
        ensure!(answer.status == 201, "a transfer: {}: {}", answer.status, answer.code());
        self.news += 1;
        Ok(())
    }
}

/// The first two wallets that were opened.
async fn two_wallets(door: &mut Door) -> anyhow::Result<[String; 2]> {
    let response = door.send(Method::GET, "/v1/events", &[], Bytes::new()).await?;
    let mut body = response.into_body();
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    loop {
        let frame = timeout(PATIENCE, body.frame()).await?.context("the events ended")??;
        buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
            let account = &event["account"];
            if event["type"] == "open_account" && account["kind"] == "wallet" {
                found.push(account["id"].as_str().context("an account without id")?.to_owned());
            }
            if let [wallet, other, ..] = &found[..] {
                return Ok([wallet.clone(), other.clone()]);
            }
        }
    }
}

fn is_descending(entries: &[Entry]) -> bool {
    entries.windows(2).all(|pair| pair[0].0 > pair[1].0)
}

/// The 99th percentile.
fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
