//! Rows j and k: throughput, with all three nodes and the load on this machine.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::accept::{
    sheet::{ResultSheet, json_of},
    stage,
};
use crate::cluster::{testnet::Testnet, up};

pub(crate) const TWO_MILLION: u64 = 2_000_000;
pub(crate) const ACCOUNTS: u64 = 10_000;

pub(crate) async fn large_batches(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let report = bench(testnet, TWO_MILLION, 8_192, 4).await?;
    let per_second = number(&report, &["per_second"])?;
    sheet.at_least("committed transfers per second", per_second, 350_000.0, "");
    report_latency(&report, sheet)
}

pub(crate) async fn single_transfers(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let one = bench(testnet, 5_000, 1, 1).await?;
    sheet.at_most("1 caller: p50", number(&one, &["latency_ms", "p50"])?, 0.9, " ms");
    let some = bench(testnet, 300_000, 1, 64).await?;
    sheet.at_least("64 callers: per second", number(&some, &["per_second"])?, 30_000.0, "");
    let many = bench(testnet, TWO_MILLION, 1, 1_024).await?;
    sheet.at_least("1,024 callers: per second", number(&many, &["per_second"])?, 150_000.0, "");
    sheet.at_most("1,024 callers: p99", number(&many, &["latency_ms", "p99"])?, 25.0, " ms");
    Ok(())
}

/// The bench itself compares the balances with the acknowledged transfers, and fails if they
/// differ.
pub(crate) async fn bench(
    testnet: &Testnet,
    transfers: u64,
    batch: u64,
    callers: u64,
) -> anyhow::Result<Value> {
    run(testnet, &[], [transfers, ACCOUNTS, batch, callers]).await
}

/// The same with few accounts.
pub(crate) async fn bench_between(
    testnet: &Testnet,
    accounts: u64,
    transfers: u64,
    batch: u64,
    callers: u64,
) -> anyhow::Result<Value> {
    run(testnet, &[], [transfers, accounts, batch, callers]).await
}

/// The same over HTTP.
pub(crate) async fn bench_http(
    testnet: &Testnet,
    transfers: u64,
    batch: u64,
    callers: u64,
) -> anyhow::Result<Value> {
    run(testnet, &["--http"], [transfers, ACCOUNTS, batch, callers]).await
}

async fn run(testnet: &Testnet, door: &[&str], numbers: [u64; 4]) -> anyhow::Result<Value> {
    let client = testnet.client_config();
    let numbers = numbers.map(|number| number.to_string());
    let [transfers, accounts, batch, callers] = numbers.each_ref().map(String::as_str);
    let client = stage::path_text(&client)?;
    let mut arguments = vec!["bench", "--json", "--client", client, "--transfers", transfers];
    arguments.extend(["--accounts", accounts, "--batch", batch, "--callers", callers]);
    arguments.extend(door);
    let report = json_of(&stage::run_evenkeel(testnet, &arguments).await?).context("bench")?;
    if number(&report, &["unknown"])? != 0.0 || number(&report, &["rejected"])? != 0.0 {
        bail!("the bench had rejections or unknown outcomes: {report}");
    }
    Ok(report)
}

pub(crate) fn number(report: &Value, path: &[&str]) -> anyhow::Result<f64> {
    let found = path.iter().try_fold(report, |value, key| value.get(key));
    found.and_then(Value::as_f64).with_context(|| format!("no {} in {report}", path.join(".")))
}

fn report_latency(report: &Value, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let p50 = number(report, &["latency_ms", "p50"])?;
    let p99 = number(report, &["latency_ms", "p99"])?;
    sheet.record_claim(format!("latency of a batch: p50 {p50} ms, p99 {p99} ms"), true);
    Ok(())
}
