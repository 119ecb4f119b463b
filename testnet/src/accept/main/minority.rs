//! Row g: one of three sites down, then two. Undecidable commands are answered in time, and local
//! reads still work.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use evenkeel_wire::{
    client::{
        Client, ClientConfig, ClientOptions,
        raw::{Connector, RawReceiver, RawSender, Reply},
    },
    codec,
    reply::RefusalCode,
    request::Submit,
    transfer::TransferKind,
};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::accept::{
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{nodes, site::Site, testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

const DEADLINE: Duration = Duration::from_secs(5);
/// The time that an answer may need beyond its deadline.
const SLACK: Duration = Duration::from_millis(250);
const SETTLED_AFTER: Duration = Duration::from_secs(2);
const REFUSED_WITHIN: Duration = Duration::from_millis(1_500);
const SEND_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn lose_one_then_two(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let primary = up::await_caught_up(testnet, PATIENCE).await?;
    let others: Vec<&Site> =
        testnet.sites.iter().filter(|site| site.node != primary.node).collect();
    let [first, second] = others[..] else { anyhow::bail!("not three sites") };

    load.monitor().inject_fault(|| ());
    nodes::kill(testnet, first).await?;
    load.await_acknowledged(10_000, PATIENCE).await?;
    sheet.takes_at_most(
        &format!("{} is down: longest time without an acknowledgement", first.name),
        load.monitor().longest_gap(),
        Duration::from_secs(2),
    );
    // The primary stays up, so that commands are in flight there when the second site is lost.
    load.pause().await;
    let accounts = own_accounts(stage::client_config(testnet)?).await?;
    let mut stream =
        RequestStream::open(stage::config_of_site(testnet, primary)?, Arc::clone(&accounts))
            .await?;
    two_down(testnet, second, &mut stream, sheet).await?;
    check_wallet(testnet, &accounts, sheet).await?;

    for site in [first, second] {
        nodes::start(testnet, site).await?;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    load.resume();
    load.await_acknowledged(2_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

async fn own_accounts(config: ClientConfig) -> anyhow::Result<Arc<LoadAccounts>> {
    let client = Client::connect(config, ClientOptions::default());
    let accounts = Arc::new(LoadAccounts::draw(2));
    let mut history = History::new(Arc::clone(&accounts));
    accounts::open(&client, &accounts, &mut history).await?;
    Ok(accounts)
}

async fn two_down(
    testnet: &Testnet,
    second: &Site,
    stream: &mut RequestStream,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    stream.send_for(Duration::from_millis(200)).await?;
    let process = testnet.demand_process(second)?;
    process.signal(rustix::process::Signal::KILL)?;
    let loss = Instant::now();
    // Sent before the primary can detect the loss: these requests may stay in flight until their
    // deadline.
    stream.send_for(Duration::from_millis(300)).await?;
    stream.receive_until(loss + SETTLED_AFTER).await?;
    let settled = stream.next;
    stream.send_for(Duration::from_secs(1)).await?;
    stream.receive_until(Instant::now() + DEADLINE + SLACK).await?;

    let (early, late): (Vec<_>, Vec<_>) = stream.ends(settled);
    let unanswered = stream.waiting.len();
    sheet.at_most("requests that were never answered", unanswered, 0, "");
    let unknown = early.iter().filter(|end| end.code == Some(RefusalCode::OutcomeUnknown));
    let (slowest, count) = unknown
        .fold((Duration::ZERO, 0_u64), |(slowest, count), end| (slowest.max(end.took), count + 1));
    sheet.at_least("in flight when the second was lost: outcome_unknown", count, 1, "");
    sheet.takes_at_most("… each by its deadline, the slowest after", slowest, DEADLINE + SLACK);
    let fair = |end: &&RequestEnd| {
        matches!(end.code, None | Some(RefusalCode::OutcomeUnknown | RefusalCode::NoPrimary))
    };
    sheet.record_claim(
        "… and otherwise only outcomes and no_primary",
        early.iter().all(|end| fair(&end)),
    );
    let refused = late.iter().filter(|end| end.code == Some(RefusalCode::NoPrimary)).count();
    sheet.record_claim(
        format!("from 2 s after the loss: {refused} of {} got no_primary", late.len()),
        !late.is_empty() && refused == late.len(),
    );
    let slowest = late.iter().map(|end| end.took).max().unwrap_or(Duration::ZERO);
    sheet.takes_at_most("… the slowest after", slowest, REFUSED_WITHIN);
    Ok(())
}

async fn check_wallet(
    testnet: &Testnet,
    accounts: &LoadAccounts,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let client = testnet.client_config();
    let client = stage::path_text(&client)?;
    let (from, to) = (accounts.get(5).id.to_string(), accounts.get(6).id.to_string());
    let mut send = vec!["wallet", "--client", client, "send", "--from", &from, "--to", &to];
    send.extend(["--amount", "1", "--asset", "KRW"]);
    let output = stage::run_evenkeel(testnet, &send).await?;
    let code = output.status.code();
    sheet.record_claim(
        format!("evenkeel wallet send exits {code:?}: {}", output_text(&output)),
        code == Some(4),
    );
    let show = ["wallet", "--client", client, "show", &from, "--local", "--json"];
    let output = stage::run_evenkeel(testnet, &show).await?;
    let text = output_text(&output);
    let labelled = text.contains("position") && text.contains("age_ms");
    sheet.record_claim(
        format!("evenkeel wallet show --local still works, with position and age: {text}"),
        output.status.success() && labelled,
    );
    Ok(())
}

/// Requests over one connection to one site, without retries; records how each ended and how long
/// it took.
struct RequestStream {
    sender: RawSender,
    receiver: RawReceiver,
    accounts: Arc<LoadAccounts>,
    next: u64,
    waiting: BTreeMap<u64, Instant>,
    ended: BTreeMap<u64, RequestEnd>,
}

#[derive(Clone, Copy, Debug)]
struct RequestEnd {
    /// `None`: an outcome.
    code: Option<RefusalCode>,
    took: Duration,
}

impl RequestStream {
    async fn open(config: ClientConfig, accounts: Arc<LoadAccounts>) -> anyhow::Result<Self> {
        let site = config.sites.first().context("no site")?.clone();
        let (sender, receiver) = Connector::new(&config)?.connect(&site).await?.split();
        let (waiting, ended) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { sender, receiver, accounts, next: 1, waiting, ended })
    }

    /// Sends one request every few milliseconds for this long, and receives answers meanwhile.
    async fn send_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        let mut tick = interval(SEND_EVERY);
        while Instant::now() < end {
            tick.tick().await;
            let command =
                CompactTransfer::new(TransferKind::TopUp, 0, 5, 1).to_command(&self.accounts);
            let mut frame = Vec::new();
            let deadline_ms = u32::try_from(DEADLINE.as_millis())?;
            let commands = codec::encode(&command).into();
            Submit { number: self.next, deadline_ms, count: 1, atomic: false, commands }
                .write(&mut frame);
            self.waiting.insert(self.next, Instant::now());
            self.next += 1;
            self.sender.send(&frame).await?;
            self.receive_until(Instant::now() + Duration::from_millis(1)).await?;
        }
        Ok(())
    }

    /// Receives answers until the time, or until none is missing.
    async fn receive_until(&mut self, end: Instant) -> anyhow::Result<()> {
        while !self.waiting.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let Ok(received) = timeout(left, self.receiver.receive()).await else { return Ok(()) };
            let frame = received?.context("the site ended the stream")?;
            let (number, code) = match Reply::read(&frame)? {
                Reply::Outcomes(outcomes) => (outcomes.number, None),
                Reply::Refused(refused) => (refused.number, Some(refused.refusal.code)),
                Reply::View(view) => anyhow::bail!("a view for request {}", view.number),
            };
            let sent = self.waiting.remove(&number);
            ensure!(sent.is_some(), "an answer to {number}, which isn't in flight");
            let took = sent.map_or(Duration::ZERO, |sent| sent.elapsed());
            self.ended.insert(number, RequestEnd { code, took });
        }
        sleep(end.saturating_duration_since(Instant::now()).min(SETTLED_AFTER)).await;
        Ok(())
    }

    /// How the requests with lower numbers ended, and how the rest ended.
    fn ends(&self, before: u64) -> (Vec<RequestEnd>, Vec<RequestEnd>) {
        let late = self.ended.range(before..).map(|(_, end)| *end).collect();
        (self.ended.range(..before).map(|(_, end)| *end).collect(), late)
    }
}
