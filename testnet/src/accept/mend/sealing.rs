//! Row `mend.6`: full load for ten minutes. What isn't sealed has a bound, memory stays flat, and
//! nobody is elected. A development build runs a short version: few segments are sealed in it, so
//! memory still grows towards its level, and its slow nodes may lose their lease.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::accept::{main::speed, sheet::ResultSheet, stage};
use crate::cluster::{admin, http::Door, site::Site, testnet::Testnet, up};

const LOAD_FOR: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(60) } else { Duration::from_secs(600) };
/// Transfers of one run of the bench: long enough that its start doesn't count.
const TRANSFERS: u64 = if cfg!(debug_assertions) { 200_000 } else { 4_000_000 };
/// The node stops taking commands at 1 GiB; what is in flight and the open segment come on top.
const UNSEALED_MIB: u64 = 1_024 + 200;
/// The last third may use this many percent of the middle one's memory.
const GROWTH_PERCENT: u64 = 110;
/// And this much more, in MiB.
const GROWTH_MIB: u64 = if cfg!(debug_assertions) { 200 } else { 0 };

/// What one site showed at one moment.
struct Sample {
    at: Duration,
    resident_mib: u64,
    unsealed_mib: u64,
}

pub(super) async fn check_flat_memory(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let term = admin::status(&testnet.primary().await?.admin_socket()).await?.term;
    let watched: Vec<_> = testnet.sites.iter().map(|site| sample_site(site.clone())).collect();
    let sampling = futures_util::future::join_all(watched);
    let (transfers, samples) = tokio::join!(bench_for(testnet), sampling);
    let transfers = transfers?;
    sheet.record_claim(format!("{transfers} transfers in {} s", LOAD_FOR.as_secs()), true);
    for (site, samples) in testnet.sites.iter().zip(samples) {
        report_site(site, &samples?, sheet);
        for work in ["index", "seal", "checkpoint", "audit", "scrub"] {
            let used = metric(site, &format!("evenkeel_keeper_{work}_cpu_seconds_total")).await?;
            sheet.record_claim(format!("{}: keeper, {work}: {used} CPU s", site.name), true);
        }
    }
    let after = admin::status(&testnet.primary().await?.admin_socket()).await?.term;
    let elections = after - term;
    sheet.record_claim(format!("elections: {elections}"), elections == 0 || cfg!(debug_assertions));
    up::await_caught_up(testnet, stage::PATIENCE).await?;
    Ok(())
}

/// Runs the bench until the time is over; returns how many transfers were committed.
async fn bench_for(testnet: &Testnet) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut transfers = 0;
    while start.elapsed() < LOAD_FOR {
        let report = speed::bench(testnet, TRANSFERS, 8_192, 8).await?;
        transfers += report["transfers"].as_u64().context("a report without transfers")?;
    }
    Ok(transfers)
}

async fn sample_site(site: Site) -> anyhow::Result<Vec<Sample>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while start.elapsed() < LOAD_FOR {
        sleep(Duration::from_secs(1)).await;
        let resident_mib = mebibytes(&site, "evenkeel_resident_memory_bytes").await?;
        let unsealed_mib = mebibytes(&site, "evenkeel_unsealed_bytes").await?;
        samples.push(Sample { at: start.elapsed(), resident_mib, unsealed_mib });
    }
    Ok(samples)
}

fn report_site(site: &Site, samples: &[Sample], sheet: &mut ResultSheet) {
    let most = |from: u32, until: u32| {
        let within =
            samples.iter().filter(|s| s.at >= LOAD_FOR / 3 * from && s.at < LOAD_FOR / 3 * until);
        within.map(|sample| sample.resident_mib).max().unwrap_or(0)
    };
    let unsealed = samples.iter().map(|sample| sample.unsealed_mib).max().unwrap_or(0);
    sheet.at_most(&format!("{}: most unsealed journal", site.name), unsealed, UNSEALED_MIB, " MiB");
    sheet.at_most(
        &format!("{}: most memory in the last third", site.name),
        most(2, 4),
        most(1, 2) * GROWTH_PERCENT / 100 + GROWTH_MIB,
        " MiB, of the middle third and a tenth",
    );
}

async fn mebibytes(site: &Site, name: &str) -> anyhow::Result<u64> {
    Ok(metric(site, name).await?.parse::<u64>()? >> 20)
}

async fn metric(site: &Site, name: &str) -> anyhow::Result<String> {
    let answer = Door::new(site.http_address(), None).get("/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("{} exports no {name}", site.name))?.to_owned())
}
