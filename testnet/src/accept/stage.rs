//! Shared by the rows: starting sites and load, and running the node's program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use evenkeel_wire::client::ClientConfig;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::{main::speed, sheet::ResultSheet};
use crate::{
    audit,
    cluster::{http::Door, process::Process, site::Site, testnet::Testnet, up},
    load::{Load, LoadPlan},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Starts new sites with the relay, and load on them.
pub(crate) async fn under_load(testnet: &Testnet) -> anyhow::Result<Load> {
    up::up(testnet, true, false).await?;
    begin_load(testnet).await
}

/// Starts load on the running sites; returns when commands are acknowledged.
pub(crate) async fn begin_load(testnet: &Testnet) -> anyhow::Result<Load> {
    let load = Load::start(client_config(testnet)?, LoadPlan::default()).await?;
    load.await_acknowledged(2_000, PATIENCE).await?;
    Ok(load)
}

pub(crate) fn client_config(testnet: &Testnet) -> anyhow::Result<ClientConfig> {
    Ok(ClientConfig::load(&testnet.client_config())?)
}

/// A client configuration with one site only.
pub(crate) fn config_of_site(testnet: &Testnet, site: &Site) -> anyhow::Result<ClientConfig> {
    let mut config = client_config(testnet)?;
    config.sites.retain(|known| known.node == site.node);
    Ok(config)
}

/// The folder of a node's checkpoints.
pub(crate) fn balances_folder(site: &Site) -> PathBuf {
    site.data().join("balances")
}

/// Submits transfers until a site has written a checkpoint of its current state, which happens when
/// a segment is full.
pub(crate) async fn await_checkpoint(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let before = checkpoint_position(site).await?;
    for _ in 0..4 {
        speed::bench(testnet, speed::TWO_MILLION / 2, 8_192, 4).await?;
        for _ in 0..100 {
            if checkpoint_position(site).await? > before {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    bail!("{} has written no checkpoint after 4 million transfers", site.name)
}

/// The position of a site's newest checkpoint, 0 before the first.
pub(crate) async fn checkpoint_position(site: &Site) -> anyhow::Result<u64> {
    const NAME: &str = "evenkeel_checkpoint_position ";
    let answer = Door::new(site.http_address(), None).get("/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    let position = text.lines().find_map(|line| line.strip_prefix(NAME));
    let position = position.with_context(|| format!("{} exports no {NAME}", site.name))?;
    Ok(position.parse()?)
}

/// Stops the load and checks all its acknowledgements.
pub(crate) async fn finish_and_audit(
    testnet: &Testnet,
    load: Load,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let history = load.finish().await?;
    let verdict = audit::audit(testnet, history).await?;
    sheet.record_claim(
        format!(
            "{} acknowledged, {} lost (each once, with its outcome)",
            verdict.acknowledged, verdict.lost
        ),
        verdict.lost == 0,
    );
    sheet.record_claim("sums are zero, every balance is what was acknowledged", verdict.sums_zero);
    sheet.record_claim("chain heads and digests of all sites are equal", verdict.digests_equal);
    Ok(())
}

/// Runs the node's program to its end without blocking the runtime.
pub(crate) async fn run_evenkeel(testnet: &Testnet, arguments: &[&str]) -> anyhow::Result<Output> {
    run(&testnet.evenkeel, arguments).await
}

/// Runs a program to its end without blocking the runtime.
pub(crate) async fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    run_within(program, arguments, Duration::MAX).await
}

/// The same with a time limit; a program that exceeds it is killed and has no exit code.
pub(crate) async fn run_within(
    program: &Path,
    arguments: &[&str],
    patience: Duration,
) -> anyhow::Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = || format!("{} {}", program.display(), arguments.join(" "));
    let child = command.spawn().with_context(name)?;
    let pid = Pid::from_raw(i32::try_from(child.id())?).context("no pid")?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let ended = std::thread::Builder::new().spawn(move || child.wait_with_output())?;
    let start = Instant::now();
    while !ended.is_finished() {
        sleep(Duration::from_millis(1)).await;
        if start.elapsed() > patience {
            let _gone_already = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
    let output = ended.join().ok().context("the waiting thread panicked")?;
    output.with_context(name)
}

/// A path as an argument.
pub(crate) fn path_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} isn't UTF-8", path.display()))
}

/// The processes of all nodes, ordered by site.
pub(crate) fn processes(testnet: &Testnet) -> anyhow::Result<Vec<Process>> {
    testnet.sites.iter().map(|site| testnet.demand_process(site)).collect()
}

/// The last of the sites that aren't primary.
pub(crate) async fn follower(testnet: &Testnet) -> anyhow::Result<&Site> {
    let primary = testnet.primary().await?;
    let mut others = testnet.sites.iter().filter(|site| site.node != primary.node);
    others.next_back().context("a single site")
}
