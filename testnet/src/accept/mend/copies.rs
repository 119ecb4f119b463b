//! Copies that aren't what they were: rolled back, cloned, or left behind with their own history.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

use crate::accept::{
    main::damage::line_with,
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::cluster::{nodes, site::Site, testnet::Testnet, up};

/// How long a cluster that must stand still is watched.
const STILL_FOR: Duration = Duration::from_secs(15);
/// A twin tells the others before it ends.
const TWIN_ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A folder as it was, beside the data folder.
async fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| to.display().to_string())?;
    }
    let (from, to) = (stage::path_text(from)?, stage::path_text(to)?);
    let copied = stage::run(Path::new("cp"), &["-a", from, to]).await?;
    ensure!(copied.status.success(), "cp: {}", output_text(&copied));
    Ok(())
}

/// Takes a snapshot of a stopped site's data.
async fn snapshot(site: &Site) -> anyhow::Result<()> {
    copy_folder(&site.data(), &site.folder().join("snapshot")).await
}

/// Puts the snapshot in place of the data, which is kept as `kept`.
async fn roll_back(site: &Site) -> anyhow::Result<()> {
    copy_folder(&site.data(), &site.folder().join("kept")).await?;
    copy_folder(&site.folder().join("snapshot"), &site.data()).await
}

async fn await_line(site: &Site, since: u64, words: &[&str]) -> Option<String> {
    let start = Instant::now();
    loop {
        let found = line_with(&site.log_since(since), words);
        if found.is_some() || start.elapsed() > PATIENCE {
            return found;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn claim_line(sheet: &mut ResultSheet, site: &Site, since: u64, words: &[&str]) {
    let line = await_line(site, since, words).await;
    let said = line.as_deref().unwrap_or("nothing");
    sheet.record_claim(format!("{} says: {said}", site.name), line.is_some());
}

pub(super) async fn rolled_back_follower(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    snapshot(site).await?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    load.await_acknowledged(4_000, PATIENCE).await?;
    nodes::kill(testnet, site).await?;
    roll_back(site).await?;
    let logs: Vec<u64> = testnet.sites.iter().map(Site::log_length).collect();
    nodes::start(testnet, site).await?;
    for (one, since) in testnet.sites.iter().zip(logs) {
        claim_line(sheet, one, since, &["rolled_back", &site.name, "position"]).await;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(format!("{} has caught up", site.name), true);
    load.await_acknowledged(1_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

pub(super) async fn rolled_back_and_lost(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let primary = testnet.primary().await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    snapshot(site).await?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    load.await_acknowledged(4_000, PATIENCE).await?;
    sleep(Duration::from_secs(2)).await;
    load.pause().await;
    nodes::kill(testnet, site).await?;
    nodes::kill(testnet, primary).await?;
    roll_back(site).await?;
    let third = testnet.sites.iter().find(|one| one.node != site.node && one.node != primary.node);
    let third = third.context("there are three sites")?;
    let since = third.log_length();
    nodes::start(testnet, site).await?;
    let start = Instant::now();
    let mut led = false;
    while start.elapsed() < STILL_FOR {
        led |= testnet.primary().await.is_ok();
        sleep(Duration::from_millis(200)).await;
    }
    sheet.record_claim(format!("no primary for {STILL_FOR:?}"), !led);
    claim_line(sheet, third, since, &["stands still", &site.name, "would help"]).await;
    nodes::start(testnet, primary).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    load.resume();
    load.await_acknowledged(1_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

pub(super) async fn twin(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    let clone = site.folder().join("clone");
    copy_folder(&site.data(), &clone).await?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sleep(Duration::from_secs(2)).await;
    let logs: Vec<u64> = testnet.sites.iter().map(Site::log_length).collect();
    let moved = |address: std::net::SocketAddr| {
        std::net::SocketAddr::new(address.ip(), address.port() + 50).to_string()
    };
    let peer = moved(site.peer_address());
    let settings = [
        format!("node.data={}", clone.display()),
        format!("listen.peer={peer}"),
        format!("listen.client={}", moved(site.client_address())),
        format!("listen.http={}", moved(site.http_address())),
        format!("admin.socket={}", site.folder().join("clone.sock").display()),
    ];
    let config = site.config();
    let mut arguments = vec!["run", "--config", stage::path_text(&config)?];
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }
    let output = stage::run_within(&testnet.evenkeel, &arguments, TWIN_ENDS_WITHIN).await?;
    let code = output.status.code();
    sheet.record_claim(format!("the clone exits with {code:?}"), code == Some(5));
    let own = site.peer_address().to_string();
    for (one, since) in testnet.sites.iter().zip(logs) {
        claim_line(sheet, one, since, &["twin", &own, &peer]).await;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(format!("{} goes on as a follower", site.name), true);
    Ok(())
}

pub(super) async fn two_histories(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    load.pause().await;
    nodes::stop_all(testnet).await?;
    for site in &testnet.sites {
        snapshot(site).await?;
    }
    for site in &testnet.sites {
        nodes::start(testnet, site).await?;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    load.resume();
    load.await_acknowledged(4_000, PATIENCE).await?;
    drop(load.finish().await?);
    nodes::kill_all(testnet).await?;
    let (old, others) = testnet.sites.split_first().context("there are three sites")?;
    for site in others {
        roll_back(site).await?;
        nodes::start(testnet, site).await?;
    }
    let load = stage::begin_load(testnet).await?;
    load.await_acknowledged(500, PATIENCE).await?;
    load.pause().await;
    check_it_stops(testnet, old, sheet).await?;
    // The others go on until their history is the longer one.
    load.resume();
    load.await_acknowledged(6_000, PATIENCE).await?;
    sheet.record_claim("the others go on", true);
    check_it_stops(testnet, old, sheet).await?;
    load.await_acknowledged(500, PATIENCE).await?;
    drop(load.finish().await?);
    nodes::stop_all(testnet).await?;
    let (data, other) = (old.data(), others[0].data());
    let arguments = ["verify", stage::path_text(&data)?, "--against", stage::path_text(&other)?];
    let output = stage::run_evenkeel(testnet, &arguments).await?;
    let (code, text) = (output.status.code(), output_text(&output));
    let short: Vec<&str> = text.lines().take(3).collect();
    sheet.record_claim(format!("verify --against exits with {code:?}: {short:?}"), code == Some(5));
    let both = text.matches("alone has").count() == 2 && text.contains("position");
    sheet.record_claim("it lists what each has and the other hasn't", both);
    Ok(())
}

/// A site whose history the others went on without is started: it stops and all sites say why.
async fn check_it_stops(
    testnet: &Testnet,
    old: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let logs: Vec<u64> = testnet.sites.iter().map(Site::log_length).collect();
    nodes::launch(testnet, old)?;
    // It may have ended already.
    let ended = match testnet.node_process(old) {
        Some(process) => process.await_gone(PATIENCE).await,
        None => true,
    };
    sheet.record_claim(format!("{} stops by itself", old.name), ended);
    for (one, since) in testnet.sites.iter().zip(&logs) {
        let start = format!("{} has committed records", old.name);
        claim_line(sheet, one, *since, &["history_differs", &start, "position"]).await;
    }
    for (one, since) in testnet.sites.iter().zip(&logs) {
        let text = one.log_since(*since);
        let wrong = ["panicked", "rolled_back"].iter().find(|word| text.contains(**word));
        sheet.record_claim(
            format!("{}'s log names nothing else ({wrong:?})", one.name),
            wrong.is_none(),
        );
    }
    Ok(())
}
