//! `demo`: transfers run, the primary's site burns, another site is elected, transfers continue;
//! then the burnt site returns, and everything acknowledged is checked.
//!
//! A step reports only what was observed; a failed step ends the demo.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use evenkeel_wire::client::ClientConfig;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::failover::{millis_rounded_up, up_with_relay};
use crate::{
    audit,
    cluster::{nodes, testnet::Testnet, up},
    load::{Load, LoadPlan},
    output::{print_json, print_line, print_progress},
};

/// How long transfers run before the fire, after it, and after the site's return.
const ACT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// The output of `demo --json`.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    pub rto_ms: u64,
    /// Acknowledged movements that were lost.
    pub rpo: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub heads: BTreeMap<String, String>,
    pub digests_equal: bool,
    pub sums_zero: bool,
    pub steps: Vec<DemoStep>,
}

/// One observed step.
#[derive(Clone, Debug, Serialize)]
pub struct DemoStep {
    /// Time since the start of the demo.
    pub at_ms: u64,
    pub what: String,
}

/// Prints the steps as they happen.
struct Story {
    start: Instant,
    steps: Vec<DemoStep>,
}

impl Story {
    fn add_step(&mut self, what: String) {
        let at_ms = millis_rounded_up(self.start.elapsed());
        print_progress(&format!("{:>3}.{} s  {what}", at_ms / 1_000, at_ms % 1_000 / 100));
        self.steps.push(DemoStep { at_ms, what });
    }
}

/// Runs the demo and prints the report.
///
/// # Errors
/// When a step fails, or something acknowledged is lost.
pub async fn run_and_print(testnet: &Testnet, as_json: bool) -> anyhow::Result<()> {
    let report = play(testnet).await?;
    if as_json {
        print_json(&report);
    } else {
        print_line(&format!(
            "RTO {} ms, RPO {}: {} movements acknowledged, {} lost; sums zero, digests equal, one chain head: {}",
            report.rto_ms,
            report.rpo,
            report.acknowledged,
            report.lost,
            report.heads.values().next().map_or("-", String::as_str)
        ));
    }
    print_progress(
        "the sites stay up: `scripts/testnet.sh status` shows them, `scripts/testnet.sh down` stops them",
    );
    Ok(())
}

async fn play(testnet: &Testnet) -> anyhow::Result<DemoReport> {
    let mut story = Story { start: Instant::now(), steps: Vec::new() };
    let names: Vec<_> = testnet.sites.iter().map(|site| site.name.as_str()).collect();
    up_with_relay(testnet).await?;
    let primary = testnet.primary().await?;
    story.add_step(format!("{} are up, {} is primary", names.join(", "), primary.name));

    let config = ClientConfig::load(&testnet.client_config())?;
    let plan = LoadPlan::default();
    let load = Load::start(config, plan).await?;
    story.add_step(format!(
        "accounts are open: {} wallets and 4 merchants each for KRW and POINT, all topped up",
        plan.wallets
    ));
    move_money(&load, &mut story, "transfers, payments and cash-outs under way").await?;

    let rto = kill_primary(testnet, &load, &mut story).await?;
    move_money(&load, &mut story, "two sites continue").await?;

    // `kill_primary` left exactly one site without a process: the former primary.
    story.add_step(format!(
        "power is back at {}: its node starts on what its disk holds",
        primary.name
    ));
    nodes::start(testnet, primary).await?;
    let now = up::await_caught_up(testnet, up::READY_PATIENCE).await?;
    story.add_step(format!("{} has caught up and follows {}", primary.name, now.name));
    move_money(&load, &mut story, "three sites again").await?;

    let counts = load.monitor().counts();
    let history = load.finish().await?;
    story.add_step(format!(
        "clients have {} acknowledgements ({} of them rejections) and {} commands without an answer",
        counts.acknowledged, counts.rejected, counts.unknown
    ));
    let verdict = audit::audit(testnet, history).await?;
    verdict.demand_clean()?;
    story.add_step(format!(
        "all were sent again and every balance was read: {} lost; sums zero, digests and heads equal",
        verdict.lost
    ));
    Ok(DemoReport {
        rto_ms: millis_rounded_up(rto),
        rpo: verdict.lost,
        acknowledged: verdict.acknowledged,
        lost: verdict.lost,
        heads: verdict.heads,
        digests_equal: verdict.digests_equal,
        sums_zero: verdict.sums_zero,
        steps: story.steps,
    })
}

async fn move_money(load: &Load, story: &mut Story, what: &str) -> anyhow::Result<()> {
    let before = load.monitor().counts().acknowledged;
    sleep(ACT).await;
    let moved = load.monitor().counts().acknowledged - before;
    ensure!(moved > 0, "no transfer is acknowledged");
    story.add_step(format!("{what}: {moved} movements acknowledged in {} s", ACT.as_secs()));
    Ok(())
}

async fn kill_primary(
    testnet: &Testnet,
    load: &Load,
    story: &mut Story,
) -> anyhow::Result<Duration> {
    let primary = testnet.primary().await?;
    let process = testnet.demand_process(primary)?;
    load.monitor().inject_fault(|| process.signal(Signal::KILL))?;
    story.add_step(format!(
        "fire at {}: the primary's power is gone, without a shutdown",
        primary.name
    ));
    let rto = load.await_first_after_fault(PATIENCE).await?;
    let promoted =
        testnet.primary().await.context("commands are acknowledged, but no site is primary")?;
    ensure!(promoted.name != primary.name, "{} is still primary", primary.name);
    story.add_step(format!(
        "{} was promoted by a majority of sites: the first new movement is acknowledged {} ms after the fire",
        promoted.name,
        millis_rounded_up(rto)
    ));
    ensure!(process.await_gone(Duration::from_secs(5)).await, "the burnt node still runs");
    Ok(rto)
}
