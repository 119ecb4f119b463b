//! Rows `mend.9` and `mend.10`: data folders that are empty, lost, or gone.
//!
//! An unmounted disk leaves an empty folder. A node once filled it with a new copy of everything,
//! on the wrong disk.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, time::Duration};

use anyhow::Context;
use evenkeel_storage::superblock::JOINING;
use tokio::time::{Instant, sleep};

use crate::accept::{
    main::damage::line_with,
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{nodes, site::Site, testnet::Testnet, up},
    load::Load,
};

/// A vanished folder is noticed within a second or two, whatever the keeper is doing.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn unmount_and_lose(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    let (data, away) = (site.data(), site.folder().join("away"));
    fs::rename(&data, &away)?;
    check_refused(testnet, site, "no folder", sheet).await?;
    sheet.record_claim("… and it isn't made", !data.exists());
    make_folder(&data)?;
    check_refused(testnet, site, "an empty folder, as below an unmounted disk", sheet).await?;
    let files = fs::read_dir(&data)?.count();
    sheet.at_most("files written there", files, 0, "");

    fs::remove_dir(&data)?;
    fs::rename(&away, &data)?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim("mounted again: the node starts and catches up", true);

    nodes::stop(testnet, site).await?;
    fs::remove_dir_all(&data)?;
    make_folder(&data)?;
    let marker = data.join(JOINING);
    fs::write(&marker, "")?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    // A caught-up copy serves a moment before it counts again.
    let start = Instant::now();
    while marker.exists() && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
    }
    sheet.record_claim(
        format!("lost: with the empty file {JOINING} the others fill it"),
        !marker.exists() && data.join("superblock").exists(),
    );
    finish(testnet, load, sheet).await
}

pub(super) async fn vanish_while_running(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let load = stage::under_load(testnet).await?;
    let site = stage::follower(testnet).await?;
    let process = testnet.demand_process(site)?;
    let (data, away, log) = (site.data(), site.folder().join("away"), site.log_length());
    fs::rename(&data, &away)?;
    let ended = process.await_gone(NOTICED_WITHIN).await;
    let line = line_with(&site.log_since(log), &["data folder is gone", "unmounted"]);
    sheet.record_claim(
        format!(
            "its folder renamed under it, {} stops: {}",
            site.name,
            line.as_deref().unwrap_or("no such line in its log")
        ),
        ended && line.is_some(),
    );
    sheet.record_claim("it makes no new folder", !data.exists());
    load.await_acknowledged(1_000, PATIENCE).await?;
    fs::rename(&away, &data)?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    finish(testnet, load, sheet).await
}

async fn finish(testnet: &Testnet, load: Load, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    load.await_acknowledged(1_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path).with_context(|| path.display().to_string())
}

async fn check_refused(
    testnet: &Testnet,
    site: &Site,
    what: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let config = site.config();
    let arguments = ["run", "--config", stage::path_text(&config)?];
    let output = stage::run_within(&testnet.evenkeel, &arguments, PATIENCE).await?;
    let text = output_text(&output);
    let said = ["no superblock", "mount it", JOINING].iter().all(|word| text.contains(word));
    let code = output.status.code();
    sheet.record_claim(format!("{what}: a start exits {code:?}: {text}"), code == Some(1) && said);
    Ok(())
}
