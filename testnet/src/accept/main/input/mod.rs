//! Row `main.input`: bad input at every door of running sites. Each is a clear error with its own exit code, and nothing
//! is lost: load runs all the while, and everything that it was told is asked for again at the end.

mod commands;
mod frames;
mod starts;

use std::time::Duration;

use crate::accept::{
    sheet::Sheet,
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{admin, nodes, testnet::Testnet, up},
    load::{Load, Plan},
};

/// A little of it, so that what is asked for again at the end stays little.
const LOAD: Plan = Plan { clients: 2, callers: 4, wallets: 50, seed: 7 };
/// What bad input may cost those who ask for something sensible meanwhile.
const GAP: Duration = Duration::from_secs(2);

pub(crate) async fn at_every_door(testnet: &Testnet, sheet: &mut Sheet) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let load = Load::start(stage::client_config(testnet)?, LOAD).await?;
    load.acknowledged_more(200, PATIENCE).await?;
    let before = testnet.primary().await?;
    let term = admin::status(&before.admin_socket()).await?.term;

    commands::refused_or_rejected(testnet, sheet).await?;
    let down = stage::follower(testnet).await?;
    nodes::stop(testnet, down).await?;
    load.pulse().fault(|| ());
    starts::refused(testnet, down, sheet).await?;
    frames::on_both_ports(testnet, down, sheet).await?;
    sheet.within("longest time without an acknowledgement", load.pulse().longest_gap(), GAP);
    let after = testnet.primary().await?;
    let same =
        (after.node, admin::status(&after.admin_socket()).await?.term) == (before.node, term);
    sheet.hold(format!("{} is primary still, in the same term", before.name), same);

    nodes::start(testnet, down).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.hold(format!("{} with its own configuration is a follower again", down.name), true);
    load.acknowledged_more(200, PATIENCE).await?;
    stage::settle(testnet, load, sheet).await
}
