//! Row n: memory and disk usage after 2 million transfers, and the duration of a start with them.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use anyhow::Context;
use tokio::time::Instant;

use super::speed;
use crate::accept::{sheet::ResultSheet, stage};
use crate::cluster::{admin, nodes, site::Site, testnet::Testnet, up};

const RESIDENT_MIB: u64 = 400;
const DISK_BYTES: u64 = 200;
const START: Duration = Duration::from_secs(3);

pub(crate) async fn after_two_million(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let before: Vec<u64> = disks(testnet)?;
    speed::bench(testnet, speed::TWO_MILLION, 8_192, 4).await?;
    // Checkpoints and indexes are written after the load and count, too.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let after = disks(testnet)?;
    for ((site, before), after) in testnet.sites.iter().zip(before).zip(after) {
        let resident = resident_mib(testnet, site)?;
        sheet.at_most(&format!("{}: resident memory", site.name), resident, RESIDENT_MIB, " MiB");
        let bytes = after.saturating_sub(before) / speed::TWO_MILLION;
        sheet.at_most(&format!("{}: disk per transfer", site.name), bytes, DISK_BYTES, " bytes");
    }
    for site in &testnet.sites {
        nodes::stop(testnet, site).await?;
        let start = Instant::now();
        nodes::launch(testnet, site)?;
        await_ready(testnet, site).await?;
        sheet.takes_at_most(&format!("{}: start until ready", site.name), start.elapsed(), START);
    }
    up::await_caught_up(testnet, stage::PATIENCE).await?;
    Ok(())
}

/// A node's resident memory.
pub(crate) fn resident_mib(testnet: &Testnet, site: &Site) -> anyhow::Result<u64> {
    Ok(testnet.demand_process(site)?.resident_bytes().context("no VmRSS")? >> 20)
}

async fn await_ready(testnet: &Testnet, site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    nodes::await_answer(testnet, site).await?;
    while !admin::status(&site.admin_socket()).await.is_ok_and(|status| status.ready) {
        anyhow::ensure!(start.elapsed() < stage::PATIENCE, "{} isn't ready", site.name);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn disks(testnet: &Testnet) -> anyhow::Result<Vec<u64>> {
    testnet.sites.iter().map(|site| occupied_bytes(&site.data())).collect()
}

/// Disk usage of a folder, including preallocated segments.
pub(crate) fn occupied_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        // A file may be renamed or removed during the walk.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += occupied_bytes(&entry.path()).unwrap_or(0);
        }
    }
    Ok(bytes)
}
