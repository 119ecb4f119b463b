//! The log, for the engineer on call: sites by name, a first and a last line, crashes and lost
//! peers at once.

use std::{net::UdpSocket, time::Duration};

use tokio::time::Instant;

use super::child::await_site_line;
use crate::{
    accept::{
        sheet::{ResultSheet, output_text},
        stage::{self, PATIENCE},
    },
    cluster::{nodes, site::Site, testnet::Testnet, up},
};

/// A site that is gone sends no more packets: the connection's idle time, and a moment.
const NOTICED_WITHIN: Duration = Duration::from_secs(4);

/// Row mend.23: what the log says about a start, a crash, a stop and a lost peer.
pub(crate) async fn check_log_lines(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let site = stage::follower(testnet).await?;
    let others: Vec<&Site> = testnet.sites.iter().filter(|other| other.node != site.node).collect();
    let log = site.log_since(0);
    let first = log.lines().next().unwrap_or_default().to_owned();
    let words = ["starting version=", "cluster=", "profile=", "sites=", "data=", "http_port="];
    sheet.record_claim(
        format!("the first line: {first}"),
        words.iter().all(|word| first.contains(word)),
    );
    let own = format!(" {}: ", site.name);
    sheet
        .record_claim("every line names its own site", log.lines().all(|line| line.contains(&own)));
    let numbers = ["peer=1", "peer=2", "peer=3", "primary=1", "primary=2", "primary=3"];
    let whole: String = testnet.sites.iter().map(|site| site.log_since(0)).collect();
    let by_number = numbers.iter().find(|number| whole.contains(**number));
    sheet.record_claim(format!("no site is a number: {by_number:?}"), by_number.is_none());

    let from: Vec<u64> = others.iter().map(|other| other.log_length()).collect();
    let own_length = site.log_length();
    nodes::kill(testnet, site).await?;
    let killed = Instant::now();
    for (other, from) in others.iter().zip(&from) {
        let words = ["lost a peer", &format!("peer={}", site.name)];
        let line = await_site_line(other, *from, &words, PATIENCE).await;
        let took = killed.elapsed();
        sheet.record_claim(
            format!("{} after {took:?}: {}", other.name, line.as_deref().unwrap_or("nothing")),
            line.is_some() && took < NOTICED_WITHIN,
        );
    }
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    let line = await_site_line(site, own_length, &["this start follows a crash"], PATIENCE).await;
    sheet.record_claim(line.as_deref().unwrap_or("nothing about the crash"), line.is_some());

    nodes::stop(testnet, site).await?;
    let log = site.log_since(own_length);
    let last = log.lines().last().unwrap_or_default();
    sheet.record_claim(format!("the last line: {last}"), last.contains("stopped ran="));
    let own_length = site.log_length();
    nodes::start(testnet, site).await?;
    let crash = site.log_since(own_length).contains("follows a crash");
    sheet.record_claim("a start after a stop follows no crash", !crash);
    refused_start(testnet, site, sheet).await?;
    up::down(testnet).await
}

/// A refused start says why, once.
async fn refused_start(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    nodes::stop(testnet, site).await?;
    let taken = UdpSocket::bind("127.0.0.1:0")?;
    let port = format!("listen.peer={}", taken.local_addr()?);
    let config = site.config();
    let arguments = ["run", "--config", stage::path_text(&config)?, "--set", &port];
    let output = stage::run_within(&testnet.evenkeel, &arguments, PATIENCE).await?;
    let said = output_text(&output);
    let times = said.matches("is in use").count();
    let last = said.rsplit("; 20").next().unwrap_or_default();
    sheet.record_claim(
        format!("a refused start: exit {:?}, said {times} times: {last}", output.status.code()),
        output.status.code() == Some(1) && times == 1 && last.contains("not started: "),
    );
    nodes::start(testnet, site).await
}
