//! Row f: planned handovers under load, by a switchover request and by stopping the primary's
//! process.

use std::time::Duration;

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{admin, nodes, site::Site, testnet::Testnet, up},
    load::Load,
};

const TO: &str = "busan";
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) async fn switchover(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let mut from = up::await_caught_up(testnet, PATIENCE).await?;
    if from.name == TO {
        let other = stage::follower(testnet).await?;
        admin::switchover(&from.admin_socket(), &other.name).await?;
        from = up::await_caught_up(testnet, PATIENCE).await?;
    }
    load.await_acknowledged(5_000, PATIENCE).await?;
    let before = failed(&load);
    load.monitor().inject_fault(|| ());
    let answer = admin::switchover(&from.admin_socket(), TO).await?;
    load.await_acknowledged(5_000, PATIENCE).await?;
    let longest = load.monitor().longest_gap();
    sheet.record_claim(
        format!("{} → {} in term {}", answer.from, answer.to, answer.term),
        answer.from == from.name && answer.to == TO,
    );
    sheet.at_most("pause as the switchover reports it", answer.pause_ms, 300.0, " ms");
    sheet.takes_at_most(
        "longest time without an acknowledgement, measured by the clients",
        longest,
        PAUSE,
    );
    sheet.at_most("commands that failed", failed(&load) - before, 0, "");
    let now = up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(format!("{} is primary", now.name), now.name == TO);
    check_stop(testnet, now, &load, sheet).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

/// Stops the primary with SIGTERM.
async fn check_stop(
    testnet: &Testnet,
    primary: &Site,
    load: &Load,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let before = failed(load);
    load.monitor().inject_fault(|| ());
    nodes::stop(testnet, primary).await?;
    load.await_acknowledged(5_000, PATIENCE).await?;
    let longest = load.monitor().longest_gap();
    sheet.takes_at_most(
        "the primary stops: longest time without an acknowledgement",
        longest,
        PAUSE,
    );
    sheet.at_most("commands that failed meanwhile", failed(load) - before, 0, "");
    nodes::start(testnet, primary).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

fn failed(load: &Load) -> u64 {
    let counts = load.monitor().counts();
    counts.unknown + counts.unavailable + counts.refused
}
