//! Rows h and i: data on one node's disk is lost or changed, and the node reports it instead of
//! serving it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use evenkeel_node::operator::status::Role;
use tokio::time::{Instant, sleep};

use super::speed;
use crate::accept::{
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{admin, nodes, site::Site, testnet::Testnet, up},
    load::Load,
};

const JOURNAL: &str = "journal";

pub(crate) async fn damage_balances(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let site = stage::follower(testnet).await?;
    let folder = stage::balances_folder(site);
    stage::await_checkpoint(testnet, site).await?;
    let load = stage::begin_load(testnet).await?;
    load.await_acknowledged(20_000, PATIENCE).await?;
    load.pause().await;

    nodes::stop(testnet, site).await?;
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let from_the_first = |line: &str| line.contains("recovered") && !line.contains("checkpoint=");
    check_rebuilt(testnet, site, &load, "deleted", from_the_first, sheet).await?;
    stage::await_checkpoint(testnet, site).await?;

    nodes::stop(testnet, site).await?;
    let flipped = flip_bytes(&folder)?;
    ensure!(flipped > 0, "{} holds nothing to damage", folder.display());
    let how = format!("{flipped} bytes flipped");
    let set_aside = |line: &str| line.contains("rebuilt from the journal");
    check_rebuilt(testnet, site, &load, &how, set_aside, sheet).await?;
    load.resume();
    load.await_acknowledged(1_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

async fn check_rebuilt(
    testnet: &Testnet,
    site: &Site,
    load: &Load,
    how: &str,
    says_so: impl Fn(&str) -> bool,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let log = site.log_length();
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    let log = site.log_since(log);
    let line = log.lines().find(|line| says_so(line));
    sheet.record_claim(
        format!("{}: balances {how}; log: {}", site.name, line.unwrap_or("nothing")),
        line.is_some(),
    );
    // Pausing the load leaves the sites idle, so that all digests are of the same state.
    load.pause().await;
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim(
        format!("{}: balances {how}; its digest equals the others'", site.name),
        equal,
    );
    Ok(())
}

/// Flips bytes throughout every file, so that no unused area can hide the damage.
fn flip_bytes(folder: &Path) -> anyhow::Result<usize> {
    let mut flipped = 0;
    for path in files_below(folder)? {
        let mut bytes = fs::read(&path)?;
        for byte in bytes.iter_mut().skip(64).step_by(509) {
            *byte ^= 0x40;
            flipped += 1;
        }
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(flipped)
}

pub(crate) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) async fn damage_sealed_segment(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let site = stage::follower(testnet).await?;
    while first_sealed(site).is_err() {
        speed::bench(testnet, speed::TWO_MILLION / 2, 8_192, 4).await?;
        sleep(Duration::from_secs(5)).await;
    }
    up::await_caught_up(testnet, PATIENCE).await?;
    nodes::stop(testnet, site).await?;
    let segment = first_sealed(site)?;
    let middle = fs::metadata(&segment)?.len() / 2;
    flip_bit(&segment, middle)?;

    let data = site.data();
    let output = stage::run_evenkeel(testnet, &["verify", stage::path_text(&data)?]).await?;
    let text = output_text(&output);
    let code = output.status.code();
    sheet.record_claim(format!("evenkeel verify exits {code:?}"), code == Some(5));
    let name =
        segment.file_name().and_then(|name| name.to_str()).context("a segment without a name")?;
    let named = [name, "byte", "position"].iter().all(|word| text.contains(word));
    sheet.record_claim(format!("the output names file, offset and position: {text}"), named);

    check_refuses_to_vote(testnet, site, name, sheet).await?;
    flip_bit(&segment, middle)?;
    if testnet.node_process(site).is_some() {
        nodes::stop(testnet, site).await?;
    }
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(format!("the byte put back, {} is a follower again", site.name), true);
    Ok(())
}

async fn check_refuses_to_vote(
    testnet: &Testnet,
    site: &Site,
    segment: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let log = site.log_length();
    nodes::launch(testnet, site)?;
    let start = Instant::now();
    let mut refusal = None;
    while refusal.is_none() && start.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
        refusal = line_with(&site.log_since(log), &[segment, "peer"]);
    }
    let said = refusal.as_deref().unwrap_or("nothing");
    sheet.record_claim(format!("the log names the segment to restore: {said}"), refusal.is_some());
    let serves = match admin::status(&site.admin_socket()).await {
        Ok(status) => status.ready || matches!(status.role, Role::Primary | Role::Follower),
        // Not running counts, too.
        Err(_) => false,
    };
    sheet.record_claim(format!("{} neither votes nor serves", site.name), !serves);
    Ok(())
}

fn first_sealed(site: &Site) -> anyhow::Result<PathBuf> {
    let journal = site.data().join(JOURNAL);
    let sealed = files_below(&journal)?
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "sealed"));
    sealed.with_context(|| format!("no sealed segment in {}", journal.display()))
}

/// Flips one bit of the byte at this offset; a second call restores it.
pub(crate) fn flip_bit(path: &Path, offset: u64) -> anyhow::Result<()> {
    let mut bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let byte = bytes.get_mut(usize::try_from(offset)?).context("the offset is beyond the file")?;
    *byte ^= 0x01;
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// The first line that contains all these words, ignoring case.
pub(crate) fn line_with(text: &str, words: &[&str]) -> Option<String> {
    let found = text.lines().find(|line| {
        let line = line.to_lowercase();
        words.iter().all(|word| line.contains(&word.to_lowercase()))
    });
    found.map(str::to_owned)
}
