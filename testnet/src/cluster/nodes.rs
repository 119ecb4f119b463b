//! Starts and stops the sites' nodes and the relay.

use std::{fs, io, thread, time::Duration};

use anyhow::{Context, bail};
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    admin,
    ports::Port,
    process::{self, Process},
    site::Site,
    testnet::{RELAY_WORDS, Testnet},
};
use crate::relay::{self, Control, Order};

/// Time limit for a node's admin socket to answer after a start.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// Time limit for a node to hand over and stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 8;

/// Starts a site's node, and the relay if it's needed and not running. Returns when the admin
/// socket answers, whether or not the node is ready.
///
/// # Errors
/// When a port is taken, or the node exits or doesn't answer.
pub async fn start(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let launched = launch(testnet, site)?;
    await_launched(testnet, site, launched).await
}

/// Waits for the node after [`launch`]. A node that was already running may have been exiting; it's
/// started again in this case.
///
/// # Errors
/// See [`start`].
pub async fn await_launched(testnet: &Testnet, site: &Site, launched: bool) -> anyhow::Result<()> {
    match await_answer(testnet, site).await {
        Err(_) if !launched && testnet.node_process(site).is_none() => {
            launch(testnet, site)?;
            await_answer(testnet, site).await
        }
        answered => answered,
    }
}

/// Starts a site's node without waiting for it; `false` if it was already running.
///
/// # Errors
/// When a port is taken or the program doesn't start.
pub fn launch(testnet: &Testnet, site: &Site) -> anyhow::Result<bool> {
    let _turn = testnet.acquire_lock()?;
    let made = testnet.demand_setup_marker()?;
    if !made.direct {
        start_relay(testnet)?;
    }
    if testnet.node_process(site).is_some() {
        return Ok(false);
    }
    let ports = [
        Port::Udp(site.peer_address()),
        Port::Udp(site.client_address()),
        Port::Tcp(site.http_address()),
    ];
    if let Some(taken) = ports.into_iter().find_map(Port::describe_conflict) {
        bail!("{} can't start: {taken}", site.name);
    }
    let config = site.config();
    let config = config.to_str().context("the path isn't UTF-8")?;
    let pid = process::start(&testnet.evenkeel, &["run", "--config", config], &site.log())
        .with_context(|| testnet.evenkeel.display().to_string())?;
    process::write_pid(&site.pid_file(), pid)?;
    Ok(true)
}

/// Waits until a node's admin socket answers.
///
/// # Errors
/// When the node exits or doesn't answer; the error includes the end of its log.
pub async fn await_answer(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let Err(silent) = admin::status(&site.admin_socket()).await else { return Ok(()) };
        let seen = start.elapsed();
        if testnet.node_process(site).is_none() && seen > Duration::from_millis(200) {
            bail!("{} exited while starting:\n{}", site.name, site.log_tail(LOG_LINES));
        }
        if seen > ANSWER_PATIENCE {
            bail!("{} doesn't answer ({silent}):\n{}", site.name, site.log_tail(LOG_LINES));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn start_relay(testnet: &Testnet) -> anyhow::Result<()> {
    let folder = testnet.relay_folder();
    let control = Control::new(folder.join("control.sock"));
    if let Some(running) = testnet.relay_process() {
        if control.order(Order::Tell).is_ok() {
            return Ok(());
        }
        // The relay is exiting or stuck.
        running.signal(Signal::KILL)?;
        while !running.is_gone() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    if let Some(taken) =
        route_plans(testnet).iter().find_map(|plan| Port::Udp(plan.listen).describe_conflict())
    {
        bail!("the relay can't start: {taken}");
    }
    let root = testnet.root().to_str().context("the path isn't UTF-8")?;
    let [verb, flag] = RELAY_WORDS;
    // The running program itself, even if the file was rebuilt in the meantime.
    let program = "/proc/self/exe".as_ref();
    let log = folder.join("relay.log");
    let pid = process::start(program, &[verb, flag, root], &log)?;
    process::write_pid(&folder.join("pid"), pid)?;
    for _ in 0..2_500 {
        if control.order(Order::Tell).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    let said = fs::read_to_string(&log).unwrap_or_default();
    bail!("the relay doesn't start: {}", said.lines().last().unwrap_or("its log is empty"));
}

/// The routes between all sites.
#[must_use]
pub fn route_plans(testnet: &Testnet) -> Vec<relay::RoutePlan> {
    let mut plans = Vec::new();
    for from in &testnet.sites {
        for to in testnet.sites.iter().filter(|to| to.node != from.node) {
            let (listen, target) = (to.relayed_address(from.node), to.peer_address());
            plans.push(relay::RoutePlan { from: from.node, to: to.node, listen, target });
        }
    }
    plans
}

/// Sends SIGKILL and returns when the process is gone.
///
/// # Errors
/// When the node isn't running.
pub async fn kill(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let process = testnet.demand_process(site)?;
    process.signal(Signal::KILL)?;
    await_end(site, &process, Duration::from_secs(5)).await
}

/// Sends SIGTERM and returns when the process is gone.
///
/// # Errors
/// When the node isn't running or doesn't stop.
pub async fn stop(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let process = testnet.demand_process(site)?;
    process.signal(Signal::TERM)?;
    // A paused process handles SIGTERM only after SIGCONT.
    process.signal(Signal::CONT)?;
    await_end(site, &process, STOP_PATIENCE).await
}

async fn await_end(site: &Site, process: &Process, patience: Duration) -> anyhow::Result<()> {
    if !process.await_gone(patience).await {
        bail!("{} (process {}) doesn't exit", site.name, process.pid());
    }
    match fs::read_to_string(site.pid_file()) {
        Ok(noted) if noted.trim() == process.pid().to_string() => {
            match fs::remove_file(site.pid_file()) {
                // Another verb waited for the same process and removed the file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.with_context(|| site.pid_file().display().to_string()),
            }
        }
        _ => Ok(()),
    }
}

/// Stops all nodes at once, gracefully, then the relay.
///
/// # Errors
/// When a node had to be killed: it's gone, but wasn't stopped gracefully.
pub async fn stop_all(testnet: &Testnet) -> anyhow::Result<()> {
    let running: Vec<_> =
        testnet.sites.iter().filter(|site| testnet.node_process(site).is_some()).collect();
    let ends = join_all(running.iter().map(|site| stop(testnet, site))).await;
    let mut failure = None;
    for (site, end) in running.into_iter().zip(ends) {
        if let Err(error) = end {
            if testnet.node_process(site).is_none() {
                continue;
            }
            kill(testnet, site).await?;
            failure.get_or_insert(error.context(format!("{} was killed", site.name)));
        }
    }
    end_relay(testnet).await?;
    failure.map_or(Ok(()), Err)
}

/// Kills all processes, before wiping.
///
/// # Errors
/// When a process doesn't exit.
pub async fn kill_all(testnet: &Testnet) -> anyhow::Result<()> {
    let running: Vec<_> =
        testnet.sites.iter().filter(|site| testnet.node_process(site).is_some()).collect();
    for end in join_all(running.into_iter().map(|site| kill(testnet, site))).await {
        end?;
    }
    end_relay(testnet).await
}

async fn end_relay(testnet: &Testnet) -> anyhow::Result<()> {
    let Some(relay) = testnet.relay_process() else { return Ok(()) };
    relay.signal(Signal::KILL)?;
    if !relay.await_gone(Duration::from_secs(5)).await {
        bail!("the relay (process {}) doesn't exit", relay.pid());
    }
    Ok(())
}
