//! `failover --rounds N`: kills the primary under load repeatedly, measures the time to the next
//! commit, and checks that nothing acknowledged is lost.
//!
//! RTO: t0 just before the kill, t1 the first acknowledgement of a command that was sent after t0.

use std::time::Duration;

use evenkeel_wire::client::ClientConfig;
use rustix::process::Signal;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    audit::{self, AuditVerdict},
    cluster::{nodes, testnet::Testnet, up},
    load::{Load, LoadPlan},
    output::{print_json, print_progress},
};

/// Acknowledgements in each round before the kill.
const WARM_UP: u64 = 2_000;
/// Acknowledgements after the kill before the round ends.
const AFTERMATH: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Milliseconds, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RtoMs {
    pub min: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// The output of `failover --json`.
#[derive(Clone, Debug, Serialize)]
pub struct FailoverReport {
    pub rounds: usize,
    pub rto_ms: RtoMs,
    pub lost: u64,
    pub acknowledged: u64,
    pub unknown: u64,
    pub digests_equal: bool,
    pub sums_zero: bool,
}

/// Runs the rounds and prints the report.
///
/// # Errors
/// When a round doesn't end, or anything acknowledged is lost.
pub async fn run_and_print(testnet: &Testnet, rounds: usize, as_json: bool) -> anyhow::Result<()> {
    let report = run(testnet, rounds).await?;
    if as_json {
        print_json(&report);
    } else {
        let RtoMs { min, p50, p99, max } = report.rto_ms;
        crate::output::print_line(&format!(
            "{rounds} rounds: rto min {min} ms, median {p50} ms, p99 {p99} ms, max {max} ms; {} acknowledged, none lost",
            report.acknowledged
        ));
    }
    Ok(())
}

/// Starts the sites that aren't running, and kills the primary in every round.
///
/// # Errors
/// See [`run_and_print()`].
pub async fn run(testnet: &Testnet, rounds: usize) -> anyhow::Result<FailoverReport> {
    up_with_relay(testnet).await?;
    let config = ClientConfig::load(&testnet.client_config())?;
    let load = Load::start(config, LoadPlan::default()).await?;
    let mut rtos = Vec::new();
    for round in 1..=rounds {
        let (site, rto) = kill_once(testnet, &load).await?;
        print_progress(&format!(
            "round {round} of {rounds}: {site} killed, next commit after {} ms",
            millis_rounded_up(rto)
        ));
        rtos.push(rto);
    }
    let history = load.finish().await?;
    let verdict: AuditVerdict = audit::audit(testnet, history).await?;
    verdict.demand_clean()?;
    Ok(FailoverReport {
        rounds,
        rto_ms: summary(rtos),
        lost: verdict.lost,
        acknowledged: verdict.acknowledged,
        unknown: verdict.settled,
        digests_equal: verdict.digests_equal,
        sums_zero: verdict.sums_zero,
    })
}

/// The sites must be connected through the relay: with `--direct` the kernel would report a dead
/// process immediately.
///
/// # Errors
/// When the sites don't start.
pub async fn up_with_relay(testnet: &Testnet) -> anyhow::Result<()> {
    if testnet.read_setup_marker().is_some_and(|made| made.direct) {
        print_progress("the testnet is set up without the relay: restarting it with the relay");
        up::down(testnet).await?;
    }
    up::up(testnet, false, false).await
}

/// One round: wait for catch-up, load, kill, wait for the next commit, start again. Returns the
/// killed site and the RTO.
async fn kill_once(testnet: &Testnet, load: &Load) -> anyhow::Result<(String, Duration)> {
    load.resume();
    load.await_acknowledged(WARM_UP, PATIENCE).await?;
    up::await_caught_up(testnet, up::READY_PATIENCE).await?;
    let primary = testnet.primary().await?;
    let process = testnet.demand_process(primary)?;
    load.monitor().inject_fault(|| process.signal(Signal::KILL))?;
    let rto = load.await_first_after_fault(PATIENCE).await?;
    load.await_acknowledged(AFTERMATH, PATIENCE).await?;
    process.await_gone(Duration::from_secs(5)).await;
    nodes::start(testnet, primary).await?;
    up::await_caught_up(testnet, up::READY_PATIENCE).await?;
    load.pause().await;
    // A node counts as fully back only after its peers have been connected to it for a while.
    sleep(Duration::from_millis(200)).await;
    Ok((primary.name.clone(), rto))
}

/// Milliseconds, rounded up.
#[must_use]
pub fn millis_rounded_up(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).expect("no wait lasts that long")
}

/// Percentiles by nearest rank.
#[must_use]
pub fn summary(mut times: Vec<Duration>) -> RtoMs {
    times.sort_unstable();
    let rank = |percent: usize| {
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).copied().map_or(0, millis_rounded_up)
    };
    RtoMs { min: rank(0), p50: rank(50), p99: rank(99), max: rank(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_measured_values() {
        let times = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(summary(times), RtoMs { min: 1, p50: 10, p99: 20, max: 20 });
        let one = vec![Duration::from_micros(7_001)];
        assert_eq!(summary(one), RtoMs { min: 8, p50: 8, p99: 8, max: 8 });
    }
}
