//! Rows a, b and c: the demo, repeated kills of the primary, and a kill of all three sites at once.

use std::{path::Path, time::Duration};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::accept::{
    sheet::{ResultSheet, json_of},
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{files, nodes, testnet::Testnet, up},
    scenarios::failover,
};

/// As on a fresh clone, without any files.
pub(crate) async fn demo(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    nodes::kill_all(testnet).await?;
    files::wipe(testnet)?;
    let (root, evenkeel) =
        (stage::path_text(testnet.root())?, stage::path_text(&testnet.evenkeel)?);
    let arguments = ["demo", "--json", "--root", root, "--evenkeel", evenkeel];
    let output = stage::run(Path::new("/proc/self/exe"), &arguments).await?;
    let report = json_of(&output)?;
    sheet.record_claim("exit 0", true);
    sheet.at_most("RPO", report["rpo"].as_u64().context("no rpo")?, 0, "");
    sheet.at_most("lost", report["lost"].as_u64().context("no lost")?, 0, "");
    let acknowledged = report["acknowledged"].as_u64().context("no acknowledged")?;
    sheet.at_least("acknowledged", acknowledged, 1, "");
    sheet.at_most("RTO", report["rto_ms"].as_u64().context("no rto_ms")?, 5_000, " ms");
    let heads = report["heads"].as_object().context("no heads")?;
    let first = heads.values().next().context("no heads")?;
    let equal = heads.len() == testnet.sites.len() && heads.values().all(|head| head == first);
    sheet.record_claim(format!("the {} chain heads are equal: {first}", heads.len()), equal);
    sheet.record_claim("the digests are equal", report["digests_equal"] == true);
    sheet.record_claim("the sums are zero", report["sums_zero"] == true);
    Ok(())
}

pub(crate) async fn twenty_rounds(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let report = failover::run(testnet, 20).await?;
    sheet.record_claim(
        format!("{} acknowledged, {} lost", report.acknowledged, report.lost),
        report.lost == 0,
    );
    sheet.record_claim("sums zero, digests equal", report.sums_zero && report.digests_equal);
    sheet.at_most("median RTO", report.rto_ms.p50, 800, " ms");
    sheet.at_most("worst RTO", report.rto_ms.max, 2_000, " ms");
    Ok(())
}

pub(crate) async fn kill_all_at_once(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    load.await_acknowledged(20_000, PATIENCE).await?;
    let processes = stage::processes(testnet)?;
    for process in &processes {
        process.signal(Signal::KILL)?;
    }
    for process in &processes {
        ensure!(process.await_gone(Duration::from_secs(5)).await, "a killed node still runs");
    }
    let start = Instant::now();
    for site in &testnet.sites {
        nodes::launch(testnet, site)?;
    }
    for site in &testnet.sites {
        nodes::await_answer(testnet, site).await?;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.takes_at_most("all three ready after the start", start.elapsed(), Duration::from_secs(5));
    load.await_acknowledged(2_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}
