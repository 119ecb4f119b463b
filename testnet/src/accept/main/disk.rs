//! Row `main.disk`: full disks under running sites. Every site's data folder is on a tmpfs of a few
//! hundred MiB, so that it can be filled and emptied again; mounting it needs root.
//!
//! First one follower's disk is full, then the primary's, then all three. Nothing acknowledged is
//! lost, and with free space all sites continue.

use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use evenkeel_wire::{
    client::{Client, ClientError, ClientOptions},
    command::Command,
    limits::COMMANDS_MAX,
    transfer::{Text, TransferKind},
};
use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use tokio::time::{Instant, sleep};

use super::damage::line_with;
use crate::accept::{
    sheet::{ResultSheet, output_text},
    stage::{self, PATIENCE},
};
use crate::{
    audit,
    cluster::{admin, nodes, site::Site, testnet::Testnet, up},
    load::{
        Load, LoadPlan,
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
};

const DISK_BYTES: u64 = 768 << 20;
/// The free space of a filled disk: less than the journal ever asks for.
const LEFT_BYTES: u64 = 64 << 10;
/// Runs next to the flood, to measure the effect on other clients.
const LOAD: LoadPlan = LoadPlan { clients: 2, callers: 4, wallets: 50, seed: 9 };
/// The longest gap that one full disk may cause for clients: a handover, or none.
const GAP: Duration = Duration::from_secs(2);
/// This many batches fill two segments of 64 MiB and more.
const BATCHES_MAX: usize = 300;

pub(crate) async fn check_full_disks(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let disks = Disks::mount(testnet).await?;
    let mut told = Box::pin(check_each_full_disk(testnet, sheet)).await;
    if let Err(error) = &told {
        sheet.record_claim(format!("aborted: {error:#}"), false);
        told = Ok(());
    }
    disks.unmount_all(testnet).await?;
    told
}

/// The sites' data folders on small disks of their own.
struct Disks;

impl Disks {
    async fn mount(testnet: &Testnet) -> anyhow::Result<Self> {
        nodes::stop_all(testnet).await?;
        let mounted = Self;
        for site in &testnet.sites {
            if let Err(error) = put_on_small_disk(site) {
                mounted.unmount_all(testnet).await?;
                return Err(error);
            }
        }
        up::up(testnet, false, true).await?;
        Ok(mounted)
    }

    /// Kills the sites and unmounts the disks; their content is lost.
    async fn unmount_all(self, testnet: &Testnet) -> anyhow::Result<()> {
        nodes::kill_all(testnet).await?;
        for site in &testnet.sites {
            let data = site.data();
            match unmount(&data, UnmountFlags::DETACH) {
                // Nothing was mounted there.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error).with_context(|| data.display().to_string()),
            }
        }
        Ok(())
    }
}

/// Moves a stopped site's data to a new file system mounted in its place.
fn put_on_small_disk(site: &Site) -> anyhow::Result<()> {
    let (data, kept) = (site.data(), site.folder().join("kept"));
    fs::rename(&data, &kept).with_context(|| data.display().to_string())?;
    fs::DirBuilder::new().mode(0o700).create(&data)?;
    let size = format!("size={DISK_BYTES},mode=0700");
    let size = std::ffi::CString::new(size)?;
    mount("evenkeel", &data, "tmpfs", MountFlags::empty(), Some(size.as_c_str())).with_context(
        || {
            format!(
                "mounting a small tmpfs on {}: this row needs permission to mount (root)",
                data.display()
            )
        },
    )?;
    copy_folder(&kept, &data)?;
    fs::remove_dir_all(&kept).with_context(|| kept.display().to_string())
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let new = to.join(name);
        if path.is_dir() {
            fs::DirBuilder::new().mode(0o700).create(&new)?;
            copy_folder(&path, &new)?;
        } else {
            fs::copy(&path, &new).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn filler(site: &Site) -> std::path::PathBuf {
    site.data().join("filler")
}

/// Fills a site's disk up to a small rest.
fn fill(site: &Site) -> anyhow::Result<()> {
    let file = fs::File::create(filler(site))?;
    let mut filled = 0;
    loop {
        let seen = statvfs(site.data())?;
        let free = seen.f_bavail * seen.f_frsize;
        if free <= LEFT_BYTES {
            return Ok(());
        }
        match fallocate(&file, FallocateFlags::empty(), 0, filled + free - LEFT_BYTES) {
            Ok(()) => filled += free - LEFT_BYTES,
            // The node allocated some of the space first.
            Err(rustix::io::Errno::NOSPC) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("filling {}'s disk", site.name));
            }
        }
    }
}

fn remove_filler(site: &Site) -> anyhow::Result<()> {
    fs::remove_file(filler(site)).with_context(|| filler(site).display().to_string())
}

async fn check_each_full_disk(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let load = Load::start(stage::client_config(testnet)?, LOAD).await?;
    load.await_acknowledged(200, PATIENCE).await?;
    let mut flood = Flood::open(testnet).await?;
    load.monitor().inject_fault(|| ());
    check_full_follower(testnet, &mut flood, sheet).await?;
    sheet.takes_at_most(
        "a follower's disk full: longest time without an acknowledgement",
        load.monitor().longest_gap(),
        GAP,
    );
    load.monitor().inject_fault(|| ());
    check_full_primary(testnet, &mut flood, sheet).await?;
    sheet.takes_at_most(
        "the primary's disk full: longest time without an acknowledgement",
        load.monitor().longest_gap(),
        GAP,
    );
    load.pause().await;
    check_all_full(testnet, &mut flood, sheet).await?;
    load.resume();
    load.await_acknowledged(200, PATIENCE).await?;
    let (asked, lost) = flood.ask_again().await?;
    sheet.record_claim(
        format!("{asked} commands of {} batches sent again, {lost} lost", flood.batches.len()),
        lost == 0,
    );
    stage::finish_and_audit(testnet, load, sheet).await
}

/// A follower that can't write stops and logs the reason; the others don't wait for it.
async fn check_full_follower(
    testnet: &Testnet,
    flood: &mut Flood,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let site = stage::follower(testnet).await?;
    fill(site)?;
    check_stops_by_itself(testnet, site, flood, sheet).await?;
    check_others_ready(testnet, site, sheet).await?;
    check_comes_back(testnet, site, sheet).await
}

async fn check_stops_by_itself(
    testnet: &Testnet,
    site: &Site,
    flood: &mut Flood,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let log = site.log_length();
    let process = testnet.demand_process(site)?;
    for _ in 0..BATCHES_MAX {
        if process.is_gone() {
            break;
        }
        flood.send_batch().await?;
    }
    let stopped = process.await_gone(Duration::from_secs(10)).await;
    let line = line_with(&site.log_since(log), &["stopped", "journal can't be written"]);
    sheet.record_claim(
        format!(
            "{}: with a full disk it stops by itself: {}",
            site.name,
            line.as_deref().unwrap_or("no such line in its log")
        ),
        stopped && line.is_some(),
    );
    Ok(())
}

async fn check_others_ready(
    testnet: &Testnet,
    down: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let primary = testnet.primary().await?;
    let ready = admin::status(&primary.admin_socket()).await?.ready;
    sheet.record_claim(
        format!("without {}: {} is primary and ready", down.name, primary.name),
        ready,
    );
    Ok(())
}

async fn check_comes_back(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    remove_filler(site)?;
    nodes::start(testnet, site).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    sheet.record_claim(
        format!("{}: space freed and node started, it has caught up", site.name),
        true,
    );
    Ok(())
}

/// A primary with a full disk hands over to a site with free space, before it has to stop.
async fn check_full_primary(
    testnet: &Testnet,
    flood: &mut Flood,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let site = testnet.primary().await?;
    let log = site.log_length();
    fill(site)?;
    let mut steps_aside = None;
    for _ in 0..BATCHES_MAX {
        flood.send_batch().await?;
        steps_aside = line_with(&site.log_since(log), &["disk is full", "handing the role over"]);
        if steps_aside.is_some() {
            break;
        }
    }
    let said = steps_aside.as_deref().unwrap_or("nothing");
    sheet.record_claim(
        format!("{}, the primary, with a full disk: log: {said}", site.name),
        steps_aside.is_some(),
    );
    check_stops_by_itself(testnet, site, flood, sheet).await?;
    let primary = testnet.primary().await?;
    let other = primary.node != site.node;
    sheet.record_claim(format!("{} is the primary instead", primary.name), other);
    check_comes_back(testnet, site, sheet).await
}

/// All disks are full: new commands are refused without effect, and with free space the same
/// processes continue.
async fn check_all_full(
    testnet: &Testnet,
    flood: &mut Flood,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    for site in &testnet.sites {
        fill(site)?;
    }
    let start = Instant::now();
    let refused = loop {
        match flood.try_batch().await {
            Err(error @ ClientError::Unavailable(_)) => break error.to_string(),
            Err(error) => bail!("neither done nor refused: {error}"),
            Ok(()) => ensure!(
                start.elapsed() < PATIENCE * 4,
                "all disks are full, but no command is refused"
            ),
        }
    };
    let overloaded = refused.contains("overloaded") && refused.contains("disk is full");
    sheet.record_claim(format!("all disks full: commands are refused: {refused}"), overloaded);
    check_wallet_refusal(testnet, flood, sheet).await?;
    let processes = stage::processes(testnet)?;
    for site in &testnet.sites {
        remove_filler(site)?;
    }
    let start = Instant::now();
    while flood.try_batch().await.is_err() {
        ensure!(
            start.elapsed() < PATIENCE,
            "there is free space again, but no command is accepted"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let same = processes.iter().all(|process| !process.is_gone());
    sheet.record_claim("space freed on all: the same three processes continue", same);
    up::await_caught_up(testnet, PATIENCE).await?;
    let (_, equal) = audit::compare_sites(testnet).await?;
    sheet.record_claim("… and their digests are equal", equal);
    Ok(())
}

async fn check_wallet_refusal(
    testnet: &Testnet,
    flood: &Flood,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let client = testnet.client_config();
    let (from, to) = (flood.accounts.get(5).id.to_string(), flood.accounts.get(6).id.to_string());
    let base = ["wallet", "--client", stage::path_text(&client)?];
    let send = ["send", "--from", &from, "--to", &to, "--amount", "1", "--asset", "KRW"];
    let output = stage::run_evenkeel(testnet, &[&base[..], &send].concat()).await?;
    let (code, text) = (output.status.code(), output_text(&output));
    sheet.record_claim(
        format!("evenkeel wallet send exits {code:?}: {text}"),
        code == Some(4) && text.contains("disk is full"),
    );
    let show = ["show", &from, "--json"];
    let output = stage::run_evenkeel(testnet, &[&base[..], &show].concat()).await?;
    sheet.record_claim("… and wallet show still works", output.status.success());
    Ok(())
}

/// Large batches of transfers with long memos, to fill the journals quickly; some of each are sent
/// again at the end.
pub(crate) struct Flood {
    client: Client,
    accounts: Arc<LoadAccounts>,
    batches: Vec<Vec<Command>>,
}

impl Flood {
    pub(crate) async fn open(testnet: &Testnet) -> anyhow::Result<Self> {
        let options =
            ClientOptions { deadline: Duration::from_secs(10), ..ClientOptions::default() };
        let client = Client::connect(stage::client_config(testnet)?, options);
        let accounts = Arc::new(LoadAccounts::draw(2));
        accounts::open(&client, &accounts, &mut History::new(Arc::clone(&accounts))).await?;
        Ok(Self { client, accounts, batches: Vec::new() })
    }

    /// Submits a batch, retrying until it's decided.
    pub(crate) async fn send_batch(&mut self) -> anyhow::Result<()> {
        let commands = self.commands()?;
        let start = Instant::now();
        while let Err(error) = self.client.submit(&commands).await {
            ensure!(start.elapsed() < PATIENCE, "the flood makes no progress: {error}");
        }
        self.batches.push(commands);
        Ok(())
    }

    /// Submits a batch that may be refused.
    async fn try_batch(&mut self) -> Result<(), ClientError> {
        let commands =
            self.commands().map_err(|error| ClientError::Unavailable(error.to_string()))?;
        self.client.submit(&commands).await?;
        self.batches.push(commands);
        Ok(())
    }

    fn commands(&self) -> anyhow::Result<Vec<Command>> {
        let memo = Text::new(&"m".repeat(140)).ok().context("140 bytes are allowed")?;
        let one = |_| match CompactTransfer::new(TransferKind::Transfer, 5, 6, 1)
            .to_command(&self.accounts)
        {
            Command::Transfer(mut transfer) => {
                transfer.memo = memo.clone();
                Command::Transfer(transfer)
            }
            other => other,
        };
        Ok((0..COMMANDS_MAX / 2).map(one).collect())
    }

    /// Sends some commands of each batch again; returns how many, and how many of them weren't
    /// replays. Only some, since each request is a journal entry and needs space, too.
    pub(crate) async fn ask_again(&self) -> anyhow::Result<(usize, usize)> {
        let (mut asked, mut lost) = (0, 0);
        for batch in &self.batches {
            let some: Vec<Command> = batch.iter().step_by(64).cloned().collect();
            let answers = self.client.submit(&some).await.context("sending again")?;
            asked += some.len();
            lost += answers.iter().filter(|answer| !answer.replayed).count();
        }
        Ok((asked, lost))
    }
}
