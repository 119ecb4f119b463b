//! `up` and `down`: start three sites with one primary, from nothing, after a stop or after a
//! crash; and stop them.

use std::time::Duration;

use anyhow::bail;
use evenkeel_node::operator::status::Status;
use tokio::time::{Instant, sleep};

use super::{files, nodes, site::Site, testnet::Testnet};
use crate::output::{print_line, print_progress};

/// Time limit for three sites to elect a primary and to catch up.
pub const READY_PATIENCE: Duration = Duration::from_secs(60);

/// Starts all processes that aren't running, and waits until one site is primary and all are caught
/// up.
///
/// # Errors
/// When this state isn't reached; the error says why.
pub async fn up(testnet: &Testnet, fresh: bool, direct: bool) -> anyhow::Result<()> {
    prepare(testnet, fresh, direct).await?;
    let mut launched = Vec::new();
    for site in &testnet.sites {
        launched.push(nodes::launch(testnet, site)?);
        if launched.last() == Some(&true) {
            print_progress(&format!("starting {}", site.name));
        }
    }
    for (site, launched) in testnet.sites.iter().zip(launched) {
        nodes::await_launched(testnet, site, launched).await?;
    }
    let primary = await_caught_up(testnet, READY_PATIENCE).await?;
    print_progress(&format!("{} is primary, all are caught up", primary.name));
    Ok(())
}

/// Runs `up`, then prints the sites' addresses.
///
/// # Errors
/// See [`up`].
pub async fn up_and_print(testnet: &Testnet, fresh: bool, direct: bool) -> anyhow::Result<()> {
    up(testnet, fresh, direct).await?;
    for site in &testnet.sites {
        print_line(&format!(
            "{:<8} peers udp {}, clients udp {}, http tcp {}, admin {}",
            site.name,
            site.peer_address(),
            site.client_address(),
            site.http_address(),
            site.admin_socket().display()
        ));
    }
    print_line(&format!("clients: evenkeel wallet --client {}", testnet.client_config().display()));
    Ok(())
}

async fn prepare(testnet: &Testnet, fresh: bool, direct: bool) -> anyhow::Result<()> {
    // Held until the function returns, so that no other verb starts a node on files that are being
    // deleted.
    let _turn = testnet.acquire_lock()?;
    match testnet.read_setup_marker() {
        Some(made) if !fresh => repoint(testnet, made.direct, direct),
        _ => {
            nodes::kill_all(testnet).await?;
            print_progress("creating the files of a new cluster");
            files::make(testnet, direct)
        }
    }
}

fn repoint(testnet: &Testnet, was_direct: bool, direct: bool) -> anyhow::Result<()> {
    if was_direct == direct {
        return Ok(());
    }
    if testnet.sites.iter().any(|site| testnet.node_process(site).is_some()) {
        let other = if direct { "with the relay" } else { "with --direct" };
        bail!("the testnet is up {other}: run `down` first");
    }
    files::set_peer_addresses(testnet, direct)
}

/// Waits until one site is primary and all others have applied its committed entries.
///
/// # Errors
/// When the time limit passes; the error says what is missing.
pub async fn await_caught_up(testnet: &Testnet, patience: Duration) -> anyhow::Result<&Site> {
    let start = Instant::now();
    let mut reached = None;
    loop {
        let statuses = testnet.statuses().await;
        let missing = match find_caught_up_primary(testnet, &statuses, reached) {
            Ok(number) => return Ok(&testnet.sites[number]),
            Err(missing) => missing,
        };
        let known = statuses.iter().flatten();
        reached = known.filter(|status| status.is_primary()).filter_map(|s| s.committed).max();
        if let Some(dead) = testnet.sites.iter().find(|site| testnet.node_process(site).is_none()) {
            bail!("{} has exited:\n{}", dead.name, dead.log_tail(8));
        }
        if start.elapsed() > patience {
            bail!("not caught up within {} s: {missing}", patience.as_secs());
        }
        sleep(Duration::from_millis(25)).await;
    }
}

/// The primary's index, when all sites agree on it and have applied `reached`; otherwise the
/// reason.
fn find_caught_up_primary<E: std::fmt::Display>(
    testnet: &Testnet,
    statuses: &[Result<Status, E>],
    reached: Option<u64>,
) -> Result<usize, String> {
    let mut known = Vec::new();
    for (site, status) in testnet.sites.iter().zip(statuses) {
        match status {
            Ok(status) => known.push(status),
            Err(error) => return Err(format!("{}: {error}", site.name)),
        }
    }
    let number = known.iter().position(|status| status.is_primary()).ok_or("no primary yet")?;
    let primary = known[number];
    for status in &known {
        let agrees = status.primary.as_ref().is_some_and(|named| named.node == primary.node);
        if !agrees || status.term != primary.term {
            return Err(format!("{} doesn't follow {} yet", status.site, primary.site));
        }
        if !status.ready {
            return Err(format!("{} isn't ready", status.site));
        }
        if reached.is_none() || status.applied < reached {
            let applied = status.applied.unwrap_or(0);
            return Err(format!("{} has applied {applied} of {reached:?}", status.site));
        }
    }
    Ok(number)
}

/// Stops everything gracefully.
///
/// # Errors
/// When a node had to be killed.
pub async fn down(testnet: &Testnet) -> anyhow::Result<()> {
    nodes::stop_all(testnet).await?;
    print_progress("all sites are down");
    Ok(())
}
