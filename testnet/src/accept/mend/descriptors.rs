//! Row `mend.8`: every node may open 300 files, 400 idle connections come to each HTTP port, and
//! the journal grows by more than three segments meanwhile. Nothing stops, nothing is set aside,
//! and the ports answer again when the connections are gone.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use anyhow::Context;
use tokio::{net::TcpStream, time::sleep};

use crate::accept::{
    main::{
        damage::{files_below, line_with},
        disk::Flood,
    },
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::cluster::{http::Door, process::Process, site::Site, testnet::Testnet, up};

const DESCRIPTORS: usize = 300;
const CONNECTIONS: usize = 400;
/// Segments of 64 MiB that every journal must have begun.
const SEGMENTS: usize = 4;
const BATCHES_MAX: usize = 500;

pub(super) async fn use_up_descriptors(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let mut limited = testnet.clone();
    limited.evenkeel = write_limiting_script(testnet)?;
    up::up(&limited, true, true).await?;
    let processes = stage::processes(&limited)?;
    let logs: Vec<u64> = limited.sites.iter().map(Site::log_length).collect();
    let mut idle = Vec::new();
    for site in &limited.sites {
        for _ in 0..CONNECTIONS {
            idle.push(TcpStream::connect(site.http_address()).await?);
        }
    }
    let mut flood = Flood::open(&limited).await?;
    let mut most = 0;
    for _ in 0..BATCHES_MAX {
        flood.send_batch().await?;
        for process in &processes {
            most = most.max(descriptors(process)?);
        }
        if fewest_segments(&limited)? >= SEGMENTS {
            break;
        }
    }
    sheet.at_least("segments of the shortest journal", fewest_segments(&limited)?, SEGMENTS, "");
    sheet.at_most("descriptors of a node", most, DESCRIPTORS, "");
    // The keeper seals and indexes what is left, and reads it back.
    sleep(Duration::from_secs(15)).await;
    let same = processes.iter().all(|process| !process.is_gone());
    sheet.record_claim("the same three processes go on", same);
    for (site, log) in limited.sites.iter().zip(logs) {
        check_nothing_set_aside(site, &site.log_since(log), sheet)?;
    }
    drop(idle);
    sleep(Duration::from_secs(1)).await;
    for site in &limited.sites {
        let answer = Door::new(site.http_address(), None).get("/readyz").await?;
        sheet.record_claim(
            format!("{}: without the idle connections /readyz is {}", site.name, answer.status),
            answer.status == 200,
        );
    }
    let (asked, lost) = flood.ask_again().await?;
    sheet.record_claim(format!("{asked} commands sent again, {lost} lost"), lost == 0);
    up::await_caught_up(&limited, PATIENCE).await?;
    Ok(())
}

/// A program that is the node's with few descriptors.
fn write_limiting_script(testnet: &Testnet) -> anyhow::Result<PathBuf> {
    let path = testnet.root().join("target").join("evenkeel-with-few-descriptors.sh");
    let program = stage::path_text(&testnet.evenkeel)?;
    let text = format!("#!/bin/sh\nulimit -n {DESCRIPTORS} && exec '{program}' \"$@\"\n");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn descriptors(process: &Process) -> anyhow::Result<usize> {
    let folder = format!("/proc/{}/fd", process.pid());
    Ok(fs::read_dir(&folder).context(folder)?.count())
}

fn fewest_segments(testnet: &Testnet) -> anyhow::Result<usize> {
    let count = |site: &Site| {
        let files = files_below(&site.data().join("journal"))?;
        let is_segment = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("open" | "sealing" | "sealed"))
        };
        Ok::<_, anyhow::Error>(files.iter().filter(is_segment).count())
    };
    let counts: anyhow::Result<Vec<usize>> = testnet.sites.iter().map(count).collect();
    counts?.into_iter().min().context("there are no sites")
}

fn check_nothing_set_aside(site: &Site, log: &str, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let files = files_below(&site.data())?;
    let aside = files.iter().filter(|path| path.to_string_lossy().contains(".damaged")).count();
    sheet.at_most(&format!("{}: files set aside", site.name), aside, 0, "");
    let error = line_with(log, &["error"]).filter(|line| line.contains("ERROR"));
    sheet.record_claim(format!("{}: errors in its log: {error:?}", site.name), error.is_none());
    Ok(())
}
