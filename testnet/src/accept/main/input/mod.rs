//! Row `main.input`: invalid input at every door of running sites. Each gets a clear error with its
//! own exit code, and nothing is lost: load runs in parallel, and all its acknowledgements are
//! checked at the end.

mod commands;
pub(crate) mod frames;
mod starts;

use std::time::Duration;

use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{admin, nodes, testnet::Testnet, up},
    load::{Load, LoadPlan},
};

/// A small load, so that the check at the end is short.
const LOAD: LoadPlan = LoadPlan { clients: 2, callers: 4, wallets: 50, seed: 7 };
/// The longest gap that invalid input may cause for other clients.
const GAP: Duration = Duration::from_secs(2);

pub(crate) async fn at_every_door(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let load = Load::start(stage::client_config(testnet)?, LOAD).await?;
    load.await_acknowledged(200, PATIENCE).await?;
    let before = testnet.primary().await?;
    let term = admin::status(&before.admin_socket()).await?.term;

    commands::refused_or_rejected(testnet, sheet).await?;
    let down = stage::follower(testnet).await?;
    nodes::stop(testnet, down).await?;
    load.monitor().inject_fault(|| ());
    starts::check_refused_starts(testnet, down, sheet).await?;
    frames::on_both_ports(testnet, down, sheet).await?;
    sheet.takes_at_most(
        "longest time without an acknowledgement",
        load.monitor().longest_gap(),
        GAP,
    );
    let after = testnet.primary().await?;
    let same =
        (after.node, admin::status(&after.admin_socket()).await?.term) == (before.node, term);
    sheet.record_claim(format!("{} is still primary, in the same term", before.name), same);

    nodes::start(testnet, down).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(
        format!("{} with its own configuration is a follower again", down.name),
        true,
    );
    load.await_acknowledged(200, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}
