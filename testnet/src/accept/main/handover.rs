//! Row f: the primary hands over on purpose, under load: because it's asked to, and because its process is to end.

use std::time::Duration;

use crate::accept::{
    sheet::Sheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{admin, nodes, site::Site, testnet::Testnet, up},
    load::Load,
};

const TO: &str = "busan";
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) async fn switchover(testnet: &Testnet, sheet: &mut Sheet) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let mut from = up::await_caught_up(testnet, PATIENCE).await?;
    if from.name == TO {
        let other = stage::follower(testnet).await?;
        admin::switchover(&from.admin_socket(), &other.name).await?;
        from = up::await_caught_up(testnet, PATIENCE).await?;
    }
    load.acknowledged_more(5_000, PATIENCE).await?;
    let before = failed(&load);
    load.pulse().fault(|| ());
    let answer = admin::switchover(&from.admin_socket(), TO).await?;
    load.acknowledged_more(5_000, PATIENCE).await?;
    let longest = load.pulse().longest_gap();
    sheet.hold(
        format!("{} → {} in term {}", answer.from, answer.to, answer.term),
        answer.from == from.name && answer.to == TO,
    );
    sheet.at_most("pause as the switchover reports it", answer.pause_ms, 300.0, " ms");
    sheet.within("longest time without an acknowledgement, as the clients saw it", longest, PAUSE);
    sheet.at_most("commands that failed", failed(&load) - before, 0, "");
    let now = up::await_caught_up(testnet, PATIENCE).await?;
    sheet.hold(format!("{} is primary", now.name), now.name == TO);
    ends(testnet, now, &load, sheet).await?;
    stage::settle(testnet, load, sheet).await
}

/// SIGTERM.
async fn ends(
    testnet: &Testnet,
    primary: &Site,
    load: &Load,
    sheet: &mut Sheet,
) -> anyhow::Result<()> {
    let before = failed(load);
    load.pulse().fault(|| ());
    nodes::stop(testnet, primary).await?;
    load.acknowledged_more(5_000, PATIENCE).await?;
    let longest = load.pulse().longest_gap();
    sheet.within("the primary ends: longest time without an acknowledgement", longest, PAUSE);
    sheet.at_most("commands that failed meanwhile", failed(load) - before, 0, "");
    nodes::start(testnet, primary).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

fn failed(load: &Load) -> u64 {
    let counts = load.pulse().counts();
    counts.unknown + counts.unavailable + counts.refused
}
