//! Row `mend.7`: a follower's process is stopped (SIGSTOP) again and again under load, longer than
//! a disk may hang, so that most of the time a sync is under way. When it goes on it's the same
//! process, and it catches up: its disk never hung.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::accept::{
    main::damage::line_with,
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::cluster::{testnet::Testnet, up};

const STOPS: usize = 6;
/// Longer than a hung disk may take.
const STOPPED_FOR: Duration = Duration::from_secs(7);

pub(super) async fn stop_follower_often(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let site = stage::follower(testnet).await?;
    let (process, log) = (testnet.demand_process(site)?, site.log_length());
    for stop in 0..STOPS {
        process.signal(Signal::STOP)?;
        sleep(STOPPED_FOR).await;
        process.signal(Signal::CONT)?;
        up::await_caught_up(testnet, PATIENCE).await.with_context(|| format!("stop {stop}"))?;
    }
    let hung = line_with(&site.log_since(log), &["disk hangs"]);
    sheet.record_claim(
        format!("{} stops of {STOPPED_FOR:?}: the same process goes on", STOPS),
        !process.is_gone(),
    );
    sheet.record_claim(format!("no disk hangs: {hung:?}"), hung.is_none());
    stage::finish_and_audit(testnet, load, sheet).await
}
