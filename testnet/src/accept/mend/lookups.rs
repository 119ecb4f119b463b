//! Rows `mend.1` and `mend.2`: thousands of lookups in sealed segments at once. Callers who ask
//! again after an outage, and a merchant who pays back thousands of old payments, hold nobody back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use evenkeel_http::Method;
use evenkeel_wire::{
    amount::Amount,
    client::{Client, ClientOptions},
    command::Command,
    id::CommandId,
    limits::COMMANDS_MAX,
    outcome::Rejection,
    refund::Refund,
    transfer::{Text, TransferKind},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::accept::{
    main::speed,
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{
        admin,
        http::{Door, HttpAnswer},
        nodes,
        site::Site,
        testnet::Testnet,
        up,
    },
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

/// Callers who ask again, each with a whole batch.
const BATCHES: usize = 6;
/// Callers of single transfers beside them.
const SINGLES: u16 = 16;
/// Transfers that fill more than a segment.
const FILLER: u64 = 1_400_000;
/// The keeper is paced, and has the lowest priority.
const SEALED_WITHIN: Duration = Duration::from_secs(180);
const WORST_SINGLE: Duration = Duration::from_millis(60);
const WORST_LIVEZ: Duration = Duration::from_millis(60);
/// Indexes into [`LoadAccounts`].
const BANK: u16 = 0;
const MERCHANT: u16 = 1;
const WALLET: u16 = 5;

/// Sites whose first payments lie in sealed segments and have left the primary's memory.
struct OldPayments {
    accounts: LoadAccounts,
    batches: Vec<Vec<CompactTransfer>>,
    client: Client,
}

impl OldPayments {
    async fn prepare(testnet: &Testnet) -> anyhow::Result<Self> {
        up::up(testnet, true, true).await?;
        let client = Client::connect(stage::client_config(testnet)?, options());
        let accounts = LoadAccounts::draw(SINGLES + 2);
        accounts::open(&client, &accounts, &mut History::new(Arc::new(accounts.clone()))).await?;
        let mut batches = Vec::new();
        for _ in 0..BATCHES {
            let payment = |_| CompactTransfer::new(TransferKind::Payment, WALLET, MERCHANT, 2);
            let batch: Vec<CompactTransfer> = (0..COMMANDS_MAX).map(payment).collect();
            let commands: Vec<Command> =
                batch.iter().map(|one| one.to_command(&accounts)).collect();
            let answers = client.submit(&commands).await?;
            ensure!(answers.iter().all(|answer| answer.outcome.rejection.is_none()), "rejected");
            batches.push(batch);
        }
        // Over a segment, so that what was paid is sealed and behind a checkpoint.
        speed::bench(testnet, FILLER, 8_192, 4).await?;
        for site in &testnet.sites {
            await_first_checkpoint(site).await?;
        }
        up::await_caught_up(testnet, PATIENCE).await?;
        // A node that starts from a checkpoint knows earlier ids from its indexes alone.
        nodes::stop_all(testnet).await?;
        up::up(testnet, false, true).await?;
        let client = Client::connect(stage::client_config(testnet)?, options());
        Ok(Self { accounts, batches, client })
    }
}

async fn await_first_checkpoint(site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    while stage::checkpoint_position(site).await? == 0 {
        ensure!(start.elapsed() < SEALED_WITHIN, "{} has written no checkpoint", site.name);
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

fn options() -> ClientOptions {
    ClientOptions { deadline: Duration::from_secs(15), ..ClientOptions::default() }
}

/// The sites' terms: they grow with each election.
async fn terms(testnet: &Testnet) -> anyhow::Result<Vec<u64>> {
    let statuses = testnet.statuses().await.into_iter();
    statuses.map(|status| Ok(status.context("a site gives no status")?.term)).collect()
}

/// `mend.1`: six batches of 8,192 repeats beside single transfers.
pub(crate) async fn ask_again_at_once(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let old = OldPayments::prepare(testnet).await?;
    let (primary, key) = (testnet.primary().await?, testnet.operator_key()?);
    let before = terms(testnet).await?;
    let position = committed(primary).await?;
    // The callers' clocks are this thread's: it writes no JSON while they run, and reads none.
    let bodies: Vec<Bytes> = old.batches.iter().map(|batch| repeats(batch, &old)).collect();
    let callers = SingleCallers::start(primary, &key, &old.accounts);
    sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    let again = bodies.into_iter().map(|body| post_batch(primary, &key, body));
    let answers = join_all(again).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let took = start.elapsed();
    sleep(Duration::from_millis(500)).await;
    let (slowest, singles) = callers.finish().await?;
    let worst = slowest.took;
    let at = i128::try_from(slowest.at.saturating_duration_since(start).as_millis())?
        - i128::try_from(start.saturating_duration_since(slowest.at).as_millis())?;
    let answers = answers.iter().map(HttpAnswer::json).collect::<anyhow::Result<Vec<_>>>()?;
    let replayed: usize = answers.iter().map(|answer| count_status(answer, 200)).sum();
    let all = BATCHES * COMMANDS_MAX;
    sheet.record_claim(
        format!("{replayed} of {all} first answers again, in {} ms", took.as_millis()),
        replayed == all,
    );
    let after = terms(testnet).await?;
    sheet.record_claim(format!("no election: terms {before:?}, {after:?}"), before == after);
    sheet.takes_at_most(
        &format!("worst of {singles} single transfers beside them, sent {at} ms after them"),
        worst,
        WORST_SINGLE,
    );
    let grown = committed(primary).await?.saturating_sub(position);
    sheet.record_claim(
        format!("{grown} entries for {singles} single transfers: repeats need none"),
        grown <= singles + 10,
    );
    check_sites_agree(testnet, sheet).await
}

/// `mend.2`: a merchant pays back 8,192 old payments at once, over both doors.
pub(crate) async fn pay_back_at_once(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let old = OldPayments::prepare(testnet).await?;
    let primary = testnet.primary().await?;
    let account = old.accounts.get(MERCHANT).id.to_string();
    let key = admin::create_key(&primary.admin_socket(), "merchant", Some(&account)).await?.key;
    let other = old.accounts.get(MERCHANT + 1).id.to_string();
    let others = admin::create_key(&primary.admin_socket(), "merchant", Some(&other)).await?.key;
    let before = terms(testnet).await?;
    // As in the row above: no JSON while the probes' clocks run.
    let bodies = [refunds(&old.batches[1]), refunds(&old.batches[2])];
    let probes: Vec<_> = testnet.sites.iter().map(Probe::start).collect();
    let start = Instant::now();
    let over_quic = async {
        let mut config = stage::client_config(testnet)?;
        config.key.clone_from(&key);
        let client = Client::connect(config, options());
        let refunds: Vec<Command> = old.batches[0].iter().map(|one| refund(one.id)).collect();
        let answers = client.submit(&refunds).await?;
        let paid = answers.iter().filter(|answer| answer.outcome.rejection.is_none()).count();
        anyhow::Ok(paid)
    };
    let over_http = async { post_batch(primary, &key, bodies[0].clone()).await };
    let by_another = async { post_batch(primary, &others, bodies[1].clone()).await };
    let (quic, http, refused) = tokio::join!(over_quic, over_http, by_another);
    let took = start.elapsed();
    let mut worst = Duration::ZERO;
    for probe in probes {
        worst = worst.max(probe.finish().await?);
    }
    let http = count_status(&http?.json()?, 201);
    for (door, paid) in [("QUIC", quic?), ("HTTP", http)] {
        sheet.record_claim(
            format!("{paid} of {COMMANDS_MAX} old payments paid back over {door}"),
            paid == COMMANDS_MAX,
        );
    }
    let refused = refused?.status;
    sheet.record_claim(format!("another merchant's key gets {refused}"), refused == 403);
    sheet.takes_at_most(
        &format!("worst /livez of all sites in {} ms", took.as_millis()),
        worst,
        WORST_LIVEZ,
    );
    let after = terms(testnet).await?;
    sheet.record_claim(format!("no election: terms {before:?}, {after:?}"), before == after);
    let reused: Vec<Command> = old.batches[3]
        .iter()
        .map(|one| CompactTransfer { amount: 3, ..*one }.to_command(&old.accounts))
        .collect();
    let answers = old.client.submit(&reused).await?;
    let judged = answers
        .iter()
        .filter(|answer| answer.outcome.rejection == Some(Rejection::IdReused))
        .count();
    sheet.record_claim(
        format!("{judged} old ids with other content: id_reused"),
        judged == COMMANDS_MAX,
    );
    check_sites_agree(testnet, sheet).await
}

async fn check_sites_agree(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::await_caught_up(testnet, PATIENCE).await?;
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("the digests of all sites are equal", equal);
    Ok(())
}

async fn committed(site: &Site) -> anyhow::Result<u64> {
    let status = admin::status(&site.admin_socket()).await?;
    status.committed.context("nothing is committed")
}

fn new_id() -> CommandId {
    CommandId::new(Uuid::now_v7().as_u128()).expect("it is of version 7")
}

fn refund(payment: CommandId) -> Command {
    Command::Refund(Refund {
        id: new_id(),
        payment,
        amount: Some(Amount(1)),
        memo: Text::default(),
    })
}

/// A batch's body: the same payments once more.
fn repeats(batch: &[CompactTransfer], old: &OldPayments) -> Bytes {
    let items: Vec<Value> = batch.iter().map(|one| payment(one, &old.accounts)).collect();
    json!({ "atomic": false, "commands": items }).to_string().into()
}

async fn post_batch(site: &Site, key: &str, body: Bytes) -> anyhow::Result<HttpAnswer> {
    let mut door = Door::new(site.http_address(), Some(key));
    door.fetch_answer(Method::POST, "/v1/batches", &[], body).await
}

/// A batch's body: these payments are paid back.
fn refunds(payments: &[CompactTransfer]) -> Bytes {
    let item = |one: &CompactTransfer| {
        let (id, payment) = (new_id().to_string(), one.id.to_string());
        json!({ "type": "refund", "id": id, "payment": payment, "amount": 1 })
    };
    let items: Vec<Value> = payments.iter().map(item).collect();
    json!({ "atomic": false, "commands": items }).to_string().into()
}

fn payment(one: &CompactTransfer, accounts: &LoadAccounts) -> Value {
    json!({
        "type": "transfer", "id": one.id.to_string(), "kind": one.kind.name(),
        "debit": accounts.get(one.debit).id.to_string(),
        "credit": accounts.get(one.credit).id.to_string(),
        "amount": one.amount, "asset": accounts.get(one.debit).asset.name(),
    })
}

/// How many results of a batch have this status.
fn count_status(answer: &Value, status: u16) -> usize {
    let results = answer.get("results").and_then(Value::as_array);
    let is_it =
        |result: &&Value| result.get("status").and_then(Value::as_u64) == Some(status.into());
    results.map_or(0, |results| results.iter().filter(is_it).count())
}

/// Callers of single transfers over HTTP, until they're finished.
struct SingleCallers {
    over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<anyhow::Result<(SlowestCall, u64)>>>,
}

/// The call that took longest.
#[derive(Clone, Copy)]
struct SlowestCall {
    took: Duration,
    /// When it was sent.
    at: Instant,
}

impl SlowestCall {
    fn none() -> Self {
        Self { took: Duration::ZERO, at: Instant::now() }
    }

    fn slower(self, other: Self) -> Self {
        if other.took > self.took { other } else { self }
    }
}

impl SingleCallers {
    fn start(site: &Site, key: &str, accounts: &LoadAccounts) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let callers = (0..SINGLES).map(|number| {
            let (over, accounts) = (over.clone(), accounts.clone());
            let mut door = Door::new(site.http_address(), Some(key));
            tokio::spawn(async move {
                let (mut worst, mut count) = (SlowestCall::none(), 0);
                while !over.load(Ordering::Relaxed) {
                    let wallet = WALLET + 1 + number;
                    let one = CompactTransfer::new(TransferKind::TopUp, BANK, wallet, 1);
                    let mut body = payment(&one, &accounts);
                    body.as_object_mut().context("an object")?.remove("type");
                    let start = Instant::now();
                    let answer = door.post("/v1/transfers", &body).await?;
                    worst = worst.slower(SlowestCall { took: start.elapsed(), at: start });
                    ensure!(answer.status == 201, "a single transfer: {}", answer.code());
                    count += 1;
                }
                Ok((worst, count))
            })
        });
        Self { callers: callers.collect(), over }
    }

    /// The slowest transfer, and the number of all.
    async fn finish(self) -> anyhow::Result<(SlowestCall, u64)> {
        self.over.store(true, Ordering::Relaxed);
        let (mut worst, mut count) = (SlowestCall::none(), 0);
        for caller in self.callers {
            let (own, transfers) = caller.await??;
            worst = worst.slower(own);
            count += transfers;
        }
        Ok((worst, count))
    }
}

/// Asks a site's `/livez` again and again.
struct Probe {
    over: Arc<AtomicBool>,
    asking: JoinHandle<anyhow::Result<Duration>>,
}

impl Probe {
    fn start(site: &Site) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mut door, ended) = (Door::new(site.http_address(), None), over.clone());
        let asking = tokio::spawn(async move {
            let mut worst = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                ensure!(door.get("/livez").await?.status == 200, "not alive");
                worst = worst.max(start.elapsed());
                sleep(Duration::from_millis(2)).await;
            }
            Ok(worst)
        });
        Self { over, asking }
    }

    async fn finish(self) -> anyhow::Result<Duration> {
        self.over.store(true, Ordering::Relaxed);
        self.asking.await?
    }
}
