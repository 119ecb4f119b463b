//! A site that can't reach its peers says what it waits for; one that differs from them says so.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::Context;

use super::child::{ScratchCluster, await_site_line, await_socket};
use crate::{
    accept::{sheet::ResultSheet, stage::PATIENCE},
    cluster::{admin, http::Door, nodes, testnet::Testnet, up},
};

const SOON: Duration = Duration::from_secs(5);

/// Row mend.17: alone at the first boot, with a peer whose name has no address; and without a
/// majority later.
pub(crate) async fn check_lonely_sites(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    first_boot(testnet, sheet).await?;
    lost_majority(testnet, sheet).await
}

async fn first_boot(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let sites =
        ["pangyo=127.0.0.1:7410", "sangam=127.0.0.1:7420", "busan=no-such-host.invalid:7430"];
    let cluster = ScratchCluster::make(testnet, "alone", &sites).await?;
    let mut node = cluster.start(testnet, "pangyo")?;
    let words = [
        "no primary since",
        "sangam, busan not reached",
        "sangam: 127.0.0.1:7420",
        "busan: no-such-host.invalid:7430: ",
    ];
    let line = cluster.await_line("pangyo", &words, SOON).await;
    sheet.record_claim(
        format!("alone at its first boot: {}", shown(line.as_deref())),
        line.is_some(),
    );
    let socket = cluster.site("pangyo").join("admin.sock");
    let status = admin::status(&socket).await?;
    let waits = status.waits_for.clone().unwrap_or_default();
    sheet.record_claim(format!("status: {waits}"), waits.contains("sangam, busan not reached"));
    let errors: Vec<_> = status.peers.iter().filter_map(|peer| peer.error.clone()).collect();
    sheet.record_claim(format!("each peer's last error: {errors:?}"), errors.len() == 2);
    let key = fs::read_to_string(cluster.folder.join("operator.key"))?;
    let http: SocketAddr = "127.0.0.1:7412".parse()?;
    let answer = Door::new(http, Some(key.trim())).get("/v1/totals").await?;
    let detail = answer.json()?["detail"].as_str().unwrap_or_default().to_owned();
    sheet.record_claim(
        format!("HTTP: {} {}: {detail}", answer.status, answer.code()),
        answer.code() == "no_primary" && detail.contains("sangam, busan not reached"),
    );
    let code = node.stop(PATIENCE).await?;
    sheet.record_claim(format!("SIGTERM: exit {code:?}"), code == Some(0));
    Ok(())
}

async fn lost_majority(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let [first, second, third] = &testnet.sites[..] else { anyhow::bail!("three sites") };
    let from = first.log_length();
    nodes::kill(testnet, second).await?;
    nodes::kill(testnet, third).await?;
    let both = format!("{}, {} not reached", second.name, third.name);
    let line = await_site_line(first, from, &["no primary since", &both], PATIENCE).await;
    sheet.record_claim(format!("without a majority: {}", shown(line.as_deref())), line.is_some());
    let door = Door::new(first.http_address(), Some(&testnet.operator_key()?));
    let mut door = door;
    let answer = door.get("/v1/totals").await?;
    let detail = answer.json()?["detail"].as_str().unwrap_or_default().to_owned();
    sheet.record_claim(
        format!("HTTP: {} {}: {detail}", answer.status, answer.code()),
        answer.code() == "no_primary" && detail.contains(&both),
    );
    nodes::start(testnet, second).await?;
    nodes::start(testnet, third).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    for words in [["there is a primary", "took="], ["a lost peer answers again", &third.name]] {
        let line = await_site_line(first, from, &words, SOON).await;
        sheet.record_claim(format!("and back: {}", shown(line.as_deref())), line.is_some());
    }
    let status = admin::status(&first.admin_socket()).await?;
    sheet.record_claim("the status waits for nothing", status.waits_for.is_none());
    up::down(testnet).await
}

/// Row mend.18: another profile, another genesis, another cluster: an alarm at both sites.
pub(crate) async fn check_differing_sites(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let sites = ["pangyo=127.0.0.1:7410", "sangam=127.0.0.1:7420", "busan=127.0.0.1:7430"];
    let cluster = ScratchCluster::make(testnet, "differing", &sites).await?;
    let other = ScratchCluster::make(testnet, "foreign", &sites).await?;
    cluster.edit("busan", "profile = \"metro\"", "profile = \"region\"")?;
    cluster.edit("busan", "wallet_max_balance = 2000000", "wallet_max_balance = 2000001")?;
    let mut running = vec![cluster.start(testnet, "pangyo")?, cluster.start(testnet, "busan")?];
    for kind in ["profile_differs", "genesis_differs"] {
        alarm_at(&cluster, "pangyo", 7412, kind, "busan", sheet).await?;
        alarm_at(&cluster, "busan", 7432, kind, "pangyo", sheet).await?;
    }
    let socket = cluster.site("pangyo").join("admin.sock");
    let status = admin::status(&socket).await?;
    let differs: Vec<_> = status.peers.into_iter().flat_map(|peer| peer.differs).collect();
    sheet.record_claim(format!("status: {differs:?}"), differs.len() == 2);
    running.clear();

    let _ours = cluster.start(testnet, "sangam")?;
    let _theirs = other.start(testnet, "pangyo")?;
    alarm_at(&cluster, "sangam", 7422, "cluster_differs", "pangyo", sheet).await?;
    alarm_at(&other, "pangyo", 7412, "cluster_differs", "sangam", sheet).await
}

async fn alarm_at(
    cluster: &ScratchCluster,
    site: &str,
    http: u16,
    kind: &str,
    peer: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let socket = cluster.site(site).join("admin.sock");
    anyhow::ensure!(await_socket(&socket, PATIENCE).await, "{site} doesn't answer");
    let peer = format!("peer={peer}");
    let words = ["ERROR", "a site differs", &peer, kind];
    let line = cluster.await_line(site, &words, PATIENCE).await;
    sheet.record_claim(format!("{site}: {}", shown(line.as_deref())), line.is_some());
    let timeline = fs::read_to_string(cluster.site(site).join("data/timeline.jsonl"))?;
    let recorded = timeline.lines().any(|line| line.contains("\"alarm\"") && line.contains(kind));
    sheet.record_claim(format!("{site}: {kind} is in the timeline"), recorded);
    let address: SocketAddr = format!("127.0.0.1:{http}").parse()?;
    let metrics = Door::new(address, None).get("/metrics").await?;
    let name = format!("evenkeel_alarms_total{{kind=\"{kind}\"}} ");
    let text = std::str::from_utf8(&metrics.body)?;
    let count = text.lines().find_map(|line| line.strip_prefix(&name)).context("no such series")?;
    sheet.record_claim(format!("{site}: {name}{count}"), count != "0");
    Ok(())
}

fn shown(line: Option<&str>) -> &str {
    line.unwrap_or("nothing")
}
