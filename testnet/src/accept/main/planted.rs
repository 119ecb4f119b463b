//! Row m: bugs planted on purpose. A ledger that leaks one unit stops by itself; a bit flipped in
//! the balances on disk never reaches an answer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use evenkeel_wire::{
    client::{Client, ClientOptions},
    transfer::TransferKind,
};

use super::damage::{files_below, flip_bit, line_with};
use crate::accept::{
    sheet::ResultSheet,
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{nodes, process, site::Site, testnet::Testnet, up},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
    output::print_progress,
};

pub(crate) async fn check_planted_bugs(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let planted = build(testnet)?;
    leak(testnet, &planted, sheet).await?;
    flipped_bit(testnet, sheet).await
}

/// Builds the node's program with the planted bugs, in a separate target folder.
/// The profile is that of this program.
pub(crate) fn build(testnet: &Testnet) -> anyhow::Result<PathBuf> {
    let target = testnet.root().join("target/planted");
    print_progress("building the node with planted bugs into target/planted");
    let (profile, folder) =
        if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    let built = Command::new("cargo")
        .args(["build", "--profile", profile, "--locked", "--quiet", "-p", "evenkeel"])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "--cfg evenkeel_planted")
        .current_dir(testnet.root())
        .status()
        .context("cargo is missing")?;
    ensure!(built.success(), "building with planted bugs failed: {built}");
    Ok(target.join(folder).join("evenkeel"))
}

/// One of three nodes leaks.
async fn leak(testnet: &Testnet, planted: &Path, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let site = stage::follower(testnet).await?;
    nodes::stop(testnet, site).await?;
    let log = site.log_length();
    let config = site.config();
    let arguments = [
        "EVENKEEL_PLANT=leak",
        stage::path_text(planted)?,
        "run",
        "--config",
        stage::path_text(&config)?,
    ];
    let pid = process::start("/usr/bin/env".as_ref(), &arguments, &site.log())?;
    process::write_pid(&site.pid_file(), pid)?;
    nodes::await_answer(testnet, site).await?;
    let process = testnet.demand_process(site)?;

    // The node may stop while the accounts are still being topped up: the others continue.
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(2);
    let mut history = History::new(accounts.clone().into());
    accounts::open(&client, &accounts, &mut history).await?;
    let command = CompactTransfer::new(TransferKind::Transfer, 5, 6, 1).to_command(&accounts);
    client.submit(&[command]).await?;
    let stopped = process.await_gone(Duration::from_secs(10)).await;
    sheet.record_claim(format!("{} leaks one unit and stops by itself", site.name), stopped);
    let line = line_with(&site.log_since(log), &["sum", "KRW", "position"]);
    let said = line.as_deref().unwrap_or("nothing");
    sheet.record_claim(format!("the log names position, asset and sum: {said}"), line.is_some());
    if !stopped {
        nodes::kill(testnet, site).await?;
    }
    check_restored(testnet, site, sheet).await
}

/// Starts the unmodified program on the same disk: it must rebuild the digest of the other sites
/// from the journal, and not continue with the leaked state.
async fn check_restored(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim(
        "with the unmodified program the same journal gives the others' digest",
        equal,
    );
    Ok(())
}

/// Flips one bit of one account's row.
async fn flipped_bit(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let site = stage::follower(testnet).await?;
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(50);
    accounts::open(&client, &accounts, &mut History::new(accounts.clone().into())).await?;
    stage::await_checkpoint(testnet, site).await?;
    let load = stage::begin_load(testnet).await?;
    load.await_acknowledged(20_000, PATIENCE).await?;
    load.pause().await;
    nodes::stop(testnet, site).await?;
    let (file, offset) = find_account_row(&stage::balances_folder(site), &accounts)?;
    flip_bit(&file, offset)?;
    let log = site.log_length();
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    let line = line_with(&site.log_since(log), &["rebuilt from the journal"]);
    sheet.record_claim(
        format!(
            "one bit of a row flipped, {} byte {offset}; log: {}",
            file.display(),
            line.as_deref().unwrap_or("nothing")
        ),
        line.is_some(),
    );
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("… and its digest equals the others'", equal);
    load.resume();
    load.await_acknowledged(1_000, PATIENCE).await?;
    stage::finish_and_audit(testnet, load, sheet).await
}

/// The location of the newest row of any of these accounts, found by the random half of its id in
/// either byte order.
fn find_account_row(folder: &Path, accounts: &LoadAccounts) -> anyhow::Result<(PathBuf, u64)> {
    let mut ids = BTreeSet::new();
    for account in &accounts.all {
        let [first @ .., _, _, _, _, _, _, _, _] = account.id.number().to_le_bytes();
        ids.insert(first);
        let mut turned = first;
        turned.reverse();
        ids.insert(turned);
    }
    for file in files_below(folder)?.into_iter().rev() {
        let bytes = fs::read(&file)?;
        let found = bytes.windows(8).rposition(|window| {
            <[u8; 8]>::try_from(window).is_ok_and(|window| ids.contains(&window))
        });
        if let Some(offset) = found {
            return Ok((file, u64::try_from(offset)?));
        }
    }
    bail!("{} holds no row of {} known accounts", folder.display(), accounts.all.len())
}
