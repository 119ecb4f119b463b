//! Row l: what is durable before an answer is sent, observed with strace; and nodes with data in
//! memory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use evenkeel_wire::{
    client::{Client, ClientOptions, raw::Connector},
    transfer::TransferKind,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::traced::{self, Strace, SystemCall};
use crate::accept::{
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::{
    cluster::{admin, nodes, site::Site, testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

const TRANSFERS: usize = 100;

pub(crate) async fn check_traced(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    traced::demand_strace()?;
    up::up(testnet, true, true).await?;
    check_syncs_before_answers(testnet, sheet).await?;
    check_folder_syncs(testnet, sheet).await?;
    nodes::kill_all(testnet).await?;
    check_in_memory(testnet, sheet).await
}

/// Sends transfers one by one, and compares the times of requests and answers with those of the
/// journals' syncs.
async fn check_syncs_before_answers(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(2);
    let mut history = History::new(accounts.clone().into());
    accounts::open(&client, &accounts, &mut history).await?;
    let mut traces = Vec::new();
    for site in &testnet.sites {
        let pid = testnet.demand_process(site)?.pid();
        let trace = Strace::attach(pid, trace_folder(testnet, &site.name))?;
        let start = Instant::now();
        while !trace.is_following() {
            ensure!(start.elapsed() < PATIENCE, "strace can't attach to {}", site.name);
            sleep(Duration::from_millis(20)).await;
        }
        traces.push(trace);
    }
    sleep(Duration::from_secs(1)).await;
    let mut answered = Vec::new();
    for _ in 0..TRANSFERS {
        let command = CompactTransfer::new(TransferKind::Transfer, 5, 6, 1).to_command(&accounts);
        let sent = traced::unix_micros();
        client.submit(&[command]).await?;
        answered.push((sent, traced::unix_micros()));
    }
    let mut syncs = Vec::new();
    for (site, trace) in testnet.sites.iter().zip(traces) {
        syncs.push(journal_syncs(site, &trace.stop_and_read()?));
    }
    let nodes_before = |(sent, answer): &(u64, u64)| {
        let synced = |calls: &&Vec<(u64, u64)>| {
            calls.iter().any(|(start, end)| start >= sent && end <= answer)
        };
        syncs.iter().filter(synced).count()
    };
    let fewest = answered.iter().map(nodes_before).min().context("no transfers")?;
    sheet.at_least(
        &format!("nodes that synced their journal between a transfer's request and its answer, fewest of {TRANSFERS}"),
        fewest,
        2,
        "",
    );
    Ok(())
}

fn journal_syncs(site: &Site, calls: &[SystemCall]) -> Vec<(u64, u64)> {
    let journal = site.data().join("journal");
    let of_journal = |call: &&SystemCall| {
        call.name == "fdatasync"
            && call.done
            && call.path().is_some_and(|path| Path::new(path).starts_with(&journal))
    };
    calls.iter().filter(of_journal).map(|call| (call.start, call.end)).collect()
}

/// Traces a node from start to stop: after every creation or rename in its data folder, the folder
/// is synced.
async fn check_folder_syncs(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    let config = site.config();
    let program =
        [stage::path_text(&testnet.evenkeel)?, "run", "--config", stage::path_text(&config)?];
    let trace = Strace::launch(&program, trace_folder(testnet, "start"))?;
    let start = Instant::now();
    while admin::status(&site.admin_socket()).await.is_err() {
        ensure!(start.elapsed() < PATIENCE, "{} doesn't start under strace", site.name);
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_secs(2)).await;
    let process = testnet.demand_process(site)?;
    let node = Pid::from_raw(process.pid()).context("no pid")?;
    kill_process(node, Signal::TERM)?;
    let calls = trace.wait_and_read(PATIENCE)?;
    let (made, unsynced) = unsynced_folders(&site.data(), &calls);
    sheet.at_least("files created or renamed in the data folder during a start", made, 1, "");
    sheet.record_claim(
        format!("each folder was synced after the last of them; unsynced: {unsynced:?}"),
        unsynced.is_empty(),
    );
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    Ok(())
}

/// The number of files created or renamed, and the folders not synced after their last one. sled's
/// own files don't count: the journal can rebuild them. Nor does a spare segment: it holds nothing
/// until it's renamed.
fn unsynced_folders(data: &Path, calls: &[SystemCall]) -> (usize, Vec<PathBuf>) {
    let derived = |path: &Path| {
        path.ends_with("spare") || path.components().any(|part| part.as_os_str() == "balances")
    };
    let mut last_made: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut made = 0;
    for call in calls.iter().filter(|call| call.makes_or_renames()) {
        let Some(path) = call.quoted_path().map(Path::new) else { continue };
        if let Some(folder) = path.parent().filter(|_| path.starts_with(data) && !derived(path)) {
            made += 1;
            last_made.insert(folder.to_path_buf(), call.end);
        }
    }
    let synced_after = |folder: &Path, made: u64| {
        let of_folder = |call: &&SystemCall| {
            matches!(call.name.as_str(), "fsync" | "fdatasync")
                && call.done
                && call.path().is_some_and(|path| Path::new(path) == folder)
        };
        calls.iter().filter(of_folder).any(|call| call.start >= made)
    };
    last_made.retain(|folder, made| !synced_after(folder, *made));
    (made, last_made.into_keys().collect())
}

/// The same testnet with all data in memory.
async fn check_in_memory(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let root = PathBuf::from(format!("/dev/shm/evenkeel-{}", std::process::id()));
    let sites = root.join("testnet/sites");
    fs::create_dir_all(&sites).with_context(|| sites.display().to_string())?;
    for file in fs::read_dir(testnet.root().join("testnet/sites"))? {
        let file = file?;
        fs::copy(file.path(), sites.join(file.file_name()))?;
    }
    let memory = Testnet::open(&root, Some(testnet.evenkeel.clone()))?;
    let told = check_volatile_reported(&memory, sheet).await;
    let ended = nodes::kill_all(&memory).await;
    fs::remove_dir_all(&root)?;
    told.and(ended)
}

async fn check_volatile_reported(memory: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(memory, true, true).await?;
    let config = stage::client_config(memory)?;
    let connector = Connector::new(&config)?;
    for site in &config.sites {
        let volatile = connector.connect(site).await?.welcome().volatile;
        sheet.record_claim(format!("{} on tmpfs reports itself as volatile", site.name), volatile);
    }
    let client = memory.client_config();
    let bench = ["bench", "--json", "--client", stage::path_text(&client)?];
    let numbers = ["--transfers", "1000", "--accounts", "10", "--batch", "1", "--callers", "1"];
    let output = stage::run_evenkeel(memory, &[&bench[..], &numbers[..]].concat()).await?;
    let refuses = output.status.code().is_some_and(|code| code != 0);
    sheet.record_claim(format!("bench refuses to measure it: {}", output_text(&output)), refuses);
    Ok(())
}

fn trace_folder(testnet: &Testnet, name: &str) -> PathBuf {
    testnet.run_folder().join("strace").join(name)
}
