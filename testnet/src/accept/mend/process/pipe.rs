//! The log never blocks the road: stderr is a pipe that nobody reads.

use std::{io::Read, process::Stdio, thread};

use anyhow::Context;

use super::child::{ChildNode, await_socket};
use crate::{
    accept::{
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    cluster::{http::Door, nodes, site::Site, testnet::Testnet, up},
};

/// Enough lines to fill a pipe and the queue in a moment.
const VERBOSE: (&str, &str) = ("EVENKEEL_LOG", "trace,openraft=debug");

/// Row mend.21: all three sites log into full pipes, and payments go on.
pub(crate) async fn check_unread_stderr(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    nodes::stop_all(testnet).await?;
    let mut running = Vec::new();
    for site in &testnet.sites {
        let piped = Stdio::piped();
        running.push(ChildNode::start_with(&testnet.evenkeel, &site.config(), &[VERBOSE], piped)?);
    }
    for site in &testnet.sites {
        let answers = await_socket(&site.admin_socket(), PATIENCE).await;
        sheet.record_claim(format!("{} answers", site.name), answers);
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    let load = stage::begin_load(testnet).await?;
    load.await_acknowledged(60_000, PATIENCE * 4).await?;
    sheet.record_claim("60,000 transfers are acknowledged, and nobody reads a log", true);
    let mut dropping = Vec::new();
    for site in &testnet.sites {
        let count = alarms(site).await?;
        sheet.record_claim(
            format!("{}: evenkeel_alarms_total log_dropped {count}", site.name),
            count > 0,
        );
        dropping.push(count);
    }
    // The reader of the first comes back, and learns what it missed.
    let mut pipe = running[0].stderr().context("piped")?;
    let reading = thread::Builder::new().spawn(move || {
        let mut text = String::new();
        let _ended = pipe.read_to_string(&mut text);
        text
    })?;
    load.await_acknowledged(5_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await?;
    for (site, node) in testnet.sites.iter().zip(&mut running) {
        let code = node.stop(PATIENCE).await?;
        sheet.record_claim(format!("{} stops with {code:?}", site.name), code == Some(0));
    }
    let text = reading.join().ok().context("the reader panicked")?;
    let line = text.lines().find(|line| line.contains("lines of this log were dropped"));
    sheet.record_claim(
        format!("{}: {}", testnet.sites[0].name, line.unwrap_or("nothing")),
        line.is_some_and(|line| line.contains("lines=") && line.contains("log_dropped")),
    );
    let last = text.lines().last().unwrap_or_default();
    sheet.record_claim(format!("its last line: {last}"), last.contains("stopped ran="));
    Ok(())
}

async fn alarms(site: &Site) -> anyhow::Result<u64> {
    const NAME: &str = "evenkeel_alarms_total{kind=\"log_dropped\"} ";
    let answer = Door::new(site.http_address(), None).get("/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    let count = text.lines().find_map(|line| line.strip_prefix(NAME));
    Ok(count.context("no such series")?.parse()?)
}
