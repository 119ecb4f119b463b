//! Rows `mend.25` to `mend.28`: wrong clocks. The nodes are the unchanged program; a library that
//! is loaded before the C library makes the clock of one process wrong.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, ensure};
use evenkeel_node::{
    clock::{Clock, SystemClock, parse_time},
    operator::status::{JournalEntry, Status},
};
use tokio::time::{Instant, sleep};

use crate::{
    accept::{
        main::damage::line_with,
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    cluster::{http::Door, site::Site, testnet::Testnet, up},
};

/// Two hours: further than an id's tolerance.
const HOURS: i64 = 7_200_000;
/// A clock that gains 50 s a minute, in percent.
const DRIFT: i64 = 83;
/// From a wrong clock to the alarms at every site and another primary.
const RELIEVED_WITHIN: Duration = Duration::from_secs(20);
/// From a correct clock to the event that says so.
const AGREES_WITHIN: Duration = Duration::from_secs(20);

/// The clocks of a testnet's nodes.
struct WrongClocks {
    folder: PathBuf,
}

impl WrongClocks {
    /// Builds the library and a program that runs the node with it, and returns the testnet that
    /// uses this program. All clocks are right at first.
    fn prepare(testnet: &Testnet) -> anyhow::Result<(Self, Testnet)> {
        let folder = testnet.root().join("target/wrong-clocks");
        fs::create_dir_all(&folder)?;
        let (source, library) = (folder.join("wrong_clock.c"), folder.join("wrong_clock.so"));
        fs::write(&source, include_str!("wrong_clock.c"))?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .status()
            .context("cc is missing")?;
        ensure!(built.success(), "building {} failed: {built}", source.display());
        let program = folder.join("evenkeel");
        // The last argument of `run` is the configuration's path; its folder has the site's name.
        let text = format!(
            "#!/bin/sh\nfor last; do :; done\nWRONG_CLOCK=\"{folder}/$(basename \"$(dirname \"$last\")\").clock\" \
             LD_PRELOAD='{library}' exec '{node}' \"$@\"\n",
            folder = folder.display(),
            library = library.display(),
            node = testnet.evenkeel.display()
        );
        fs::write(&program, text)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let mut with_clocks = testnet.clone();
        with_clocks.evenkeel = program;
        let clocks = Self { folder };
        for site in &testnet.sites {
            clocks.set(site, 0, 0)?;
        }
        Ok((clocks, with_clocks))
    }

    /// A site's clock is so many milliseconds ahead, and from now on too fast by so many percent.
    fn set(&self, site: &Site, millis: i64, percent: i64) -> anyhow::Result<()> {
        let since = SystemClock.wall_millis() / 1_000;
        let (path, next) = (self.path(site), self.folder.join("next"));
        fs::write(&next, format!("{millis} {percent} {since}\n"))?;
        Ok(fs::rename(next, path)?)
    }

    fn path(&self, site: &Site) -> PathBuf {
        self.folder.join(format!("{}.clock", site.name))
    }
}

/// Row `mend.25`: the primary's clock is two hours behind, later another one's two hours ahead.
pub(super) async fn step_primary(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let (clocks, testnet) = WrongClocks::prepare(testnet)?;
    let load = stage::under_load(&testnet).await?;
    for (millis, kind) in [(-HOURS, "behind"), (HOURS, "ahead of")] {
        relieve(&testnet, &clocks, (millis, 0), kind, sheet).await?;
        load.await_acknowledged(1_000, PATIENCE).await?;
    }
    claim_no_future_ids(&testnet, sheet).await?;
    stage::finish_and_audit(&testnet, load, sheet).await
}

/// Row `mend.26`: the primary's clock gains 50 s a minute.
pub(super) async fn drift_primary(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let (clocks, testnet) = WrongClocks::prepare(testnet)?;
    let load = stage::under_load(&testnet).await?;
    relieve(&testnet, &clocks, (0, DRIFT), "ahead of", sheet).await?;
    let ahead = statuses(&testnet).await?.iter().map(|status| status.ledger_ahead_ms).max();
    let ahead = ahead.unwrap_or(0);
    sheet.record_claim(format!("the ledger's time didn't follow: {ahead} ms ahead"), ahead < 5_000);
    claim_no_future_ids(&testnet, sheet).await?;
    stage::finish_and_audit(&testnet, load, sheet).await
}

/// Row `mend.27`: all clocks were two hours ahead and are set back.
pub(super) async fn set_all_back(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let (clocks, testnet) = WrongClocks::prepare(testnet)?;
    for site in &testnet.sites {
        clocks.set(site, HOURS, 0)?;
    }
    let load = stage::under_load(&testnet).await?;
    let logs: Vec<u64> = testnet.sites.iter().map(Site::log_length).collect();
    for site in &testnet.sites {
        clocks.set(site, 0, 0)?;
    }
    let before = newest_time(&testnet).await?;
    let begun = Instant::now();
    sleep(Duration::from_secs(15)).await;
    let passed = newest_time(&testnet).await?.saturating_sub(before);
    let (passed, true_ms) = (passed / 1_000, begun.elapsed().as_millis());
    sheet.record_claim(
        format!("the ledger's time goes on, a tenth slower: {passed} ms in {true_ms} ms"),
        u128::from(passed) > true_ms * 8 / 10 && u128::from(passed) < true_ms,
    );
    for (site, log) in testnet.sites.iter().zip(logs) {
        let line = line_with(&site.log_since(log), &["behind the ledger's time"]);
        let said = line.as_deref().unwrap_or("nothing");
        sheet.record_claim(format!("{} says so: {said}", site.name), line.is_some());
    }
    for status in statuses(&testnet).await? {
        let ahead = status.ledger_ahead_ms;
        sheet.record_claim(
            format!("{}: ledger_ahead_ms is {ahead}", status.site),
            ahead.abs_diff(HOURS.unsigned_abs()) < 60_000,
        );
    }
    stage::finish_and_audit(&testnet, load, sheet).await
}

/// Row `mend.28`: the clocks of a new cluster all differ.
pub(super) async fn found_with_wrong_clocks(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let (clocks, testnet) = WrongClocks::prepare(testnet)?;
    let year = 365 * 12 * HOURS;
    for (site, millis) in testnet.sites.iter().zip([year, 0, -HOURS]) {
        clocks.set(site, millis, 0)?;
    }
    let watched = async {
        let said = await_line(&testnet, &["isn't bootstrapped yet", "clocks"]).await;
        sheet.record_claim(format!("a site says what it waits for: {said:?}"), said.is_some());
        sleep(Duration::from_secs(5)).await;
        let founded = statuses(&testnet).await?.iter().any(|status| status.business_date.is_some());
        sheet.record_claim("no ledger is bootstrapped meanwhile", !founded);
        clocks.set(&testnet.sites[0], 0, 0)?;
        anyhow::Ok(Instant::now())
    };
    let (up, watched) = tokio::join!(up::up(&testnet, true, false), watched);
    let corrected = watched?;
    up?;
    sheet.record_claim(
        format!("two clocks agree: a primary after {:?}", corrected.elapsed()),
        corrected.elapsed() < PATIENCE,
    );
    let off = newest_time(&testnet).await?.abs_diff(SystemClock.wall_micros()) / 1_000_000;
    sheet.record_claim(format!("… and its time is theirs: {off} s off"), off < 60);
    Ok(())
}

/// The primary's clock becomes wrong: every site names it, and another site leads. Then it's
/// corrected.
async fn relieve(
    testnet: &Testnet,
    clocks: &WrongClocks,
    (millis, percent): (i64, i64),
    direction: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let old = testnet.primary().await?.clone();
    let logs: Vec<u64> = testnet.sites.iter().map(Site::log_length).collect();
    clocks.set(&old, millis, percent)?;
    let begun = Instant::now();
    let mut led_by = old.name.clone();
    while led_by == old.name && begun.elapsed() < RELIEVED_WITHIN {
        sleep(Duration::from_millis(100)).await;
        led_by = testnet.primary().await.map_or(old.name.clone(), |site| site.name.clone());
    }
    sheet.record_claim(
        format!("{}'s clock is wrong: {led_by} leads after {:?}", old.name, begun.elapsed()),
        led_by != old.name,
    );
    sleep(Duration::from_secs(3)).await;
    for (site, log) in testnet.sites.iter().zip(&logs) {
        let own = site.name == old.name;
        let words = if own { "this site's clock is" } else { old.name.as_str() };
        let line = line_with(&site.log_since(*log), &["clock", words, direction, "majority"]);
        let said = line.as_deref().unwrap_or("nothing");
        sheet.record_claim(format!("{} names it: {said}", site.name), line.is_some());
        let offset = if own { None } else { offset_metric(site, &old.name).await? };
        let seen = offset.is_none_or(|seconds| (seconds < 0.0) == (direction == "behind"));
        sheet.record_claim(format!("… its metric says {offset:?} s"), seen);
    }
    clocks.set(&old, 0, 0)?;
    let agrees = |site: &Site, log: u64| {
        line_with(&site.log_since(log), &["clock agrees with the others again"]).is_some()
    };
    let begun = Instant::now();
    let all = || testnet.sites.iter().zip(&logs).all(|(site, log)| agrees(site, *log));
    while !all() && begun.elapsed() < AGREES_WITHIN {
        sleep(Duration::from_millis(100)).await;
    }
    sheet.record_claim(format!("corrected: all say so after {:?}", begun.elapsed()), all());
    Ok(())
}

/// `evenkeel_clock_offset_seconds` of a peer.
async fn offset_metric(site: &Site, peer: &str) -> anyhow::Result<Option<f64>> {
    let name = format!("evenkeel_clock_offset_seconds{{peer=\"{peer}\"}} ");
    Ok(metric(site, &name).await?.and_then(|value| value.parse().ok()))
}

async fn claim_no_future_ids(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    for site in &testnet.sites {
        let name = "evenkeel_outcomes_total{code=\"id_in_future\"} ";
        let count = metric(site, name).await?;
        let said = format!("{}: fresh ids rejected as id_in_future: {count:?}", site.name);
        sheet.record_claim(said, count.as_deref() == Some("0"));
    }
    Ok(())
}

async fn metric(site: &Site, name: &str) -> anyhow::Result<Option<String>> {
    let answer = Door::new(site.http_address(), None).get("/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    Ok(text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned))
}

async fn statuses(testnet: &Testnet) -> anyhow::Result<Vec<Status>> {
    let statuses = testnet.statuses().await.into_iter();
    statuses.map(|status| status.context("a site doesn't answer")).collect()
}

/// The time of the newest entry of the primary's journal, microseconds since the Unix epoch.
async fn newest_time(testnet: &Testnet) -> anyhow::Result<u64> {
    let config = testnet.primary().await?.config();
    let journal =
        ["admin", "--config", stage::path_text(&config)?, "--json", "journal", "--limit", "20"];
    let output = stage::run_evenkeel(testnet, &journal).await?;
    let entries: Vec<JournalEntry> =
        serde_json::from_slice(&output.stdout).context("the journal's entries")?;
    let newest = entries.iter().rev().find_map(|entry| entry.time.as_deref());
    let newest = newest.context("no entry has a time")?;
    Ok(parse_time(newest, 0)?)
}

/// A line with these words in any site's log, soon.
async fn await_line(testnet: &Testnet, words: &[&str]) -> Option<String> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let lines = testnet.sites.iter().filter(|site| testnet.node_process(site).is_some());
        let found = lines.filter_map(|site| line_with(&site.log_since(0), words)).next();
        if found.is_some() {
            return found;
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}
