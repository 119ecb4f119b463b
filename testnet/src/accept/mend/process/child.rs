//! A node as a child of the row, so that its exit code and its stderr can be seen; and clusters of
//! their own, whose files a row may spoil.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{
    accept::{sheet::output_text, stage},
    cluster::{admin, site::Site, testnet::Testnet},
};

/// A running node, killed when it's dropped.
pub(super) struct ChildNode {
    child: Child,
}

impl ChildNode {
    /// Starts `evenkeel run` with these variables; stderr goes to `log`.
    pub(super) fn start(
        program: &Path,
        config: &Path,
        environment: &[(&str, &str)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(log);
        let log = log.with_context(|| "the log can't be opened")?;
        Self::start_with(program, config, environment, log.into())
    }

    pub(super) fn start_with(
        program: &Path,
        config: &Path,
        environment: &[(&str, &str)],
        stderr: Stdio,
    ) -> anyhow::Result<Self> {
        let child = Command::new(program)
            .args(["run", "--config", stage::path_text(config)?])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self { child })
    }

    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no pid")?;
        Ok(kill_process(pid, signal)?)
    }

    pub(super) fn stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end; `None`: it's still running.
    pub(super) async fn wait(&mut self, patience: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() > patience {
                return Ok(None);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM, and the exit code.
    pub(super) async fn stop(&mut self, patience: Duration) -> anyhow::Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        Ok(self.wait(patience).await?.and_then(|status| status.code()))
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A cluster of its own in the run folder.
pub(super) struct ScratchCluster {
    pub(super) folder: PathBuf,
}

impl ScratchCluster {
    /// Makes its files; `sites` are `NAME=HOST:PORT`.
    pub(super) async fn make(
        testnet: &Testnet,
        name: &str,
        sites: &[&str],
    ) -> anyhow::Result<Self> {
        let folder = testnet.run_folder().join("scratch").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.parent().context("a parent")?)?;
        let mut arguments = vec!["cluster", "new", "--out", stage::path_text(&folder)?];
        for site in sites {
            arguments.extend(["--site", site]);
        }
        let made = stage::run_evenkeel(testnet, &arguments).await?;
        ensure!(made.status.success(), "cluster new: {}", output_text(&made));
        Ok(Self { folder })
    }

    pub(super) fn site(&self, site: &str) -> PathBuf {
        self.folder.join(site)
    }

    pub(super) fn log(&self, site: &str) -> PathBuf {
        self.site(site).join("node.log")
    }

    /// Replaces a text in a site's node.toml.
    pub(super) fn edit(&self, site: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.site(site).join("node.toml");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{} has no {from}", path.display());
        Ok(fs::write(&path, text.replace(from, to))?)
    }

    pub(super) fn start(&self, testnet: &Testnet, site: &str) -> anyhow::Result<ChildNode> {
        let config = self.site(site).join("node.toml");
        ChildNode::start(&testnet.evenkeel, &config, &[], &self.log(site))
    }

    /// Waits until a site's log has a line with all of these words.
    pub(super) async fn await_line(
        &self,
        site: &str,
        words: &[&str],
        patience: Duration,
    ) -> Option<String> {
        await_line(&self.log(site), 0, words, patience).await
    }
}

/// Waits for a line of a log, from this length on, with all of these words.
pub(super) async fn await_line(
    log: &Path,
    from: usize,
    words: &[&str],
    patience: Duration,
) -> Option<String> {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        let mut lines = text.get(from..).unwrap_or_default().lines();
        if let Some(line) = lines.find(|line| words.iter().all(|word| line.contains(word))) {
            return Some(line.to_owned());
        }
        if start.elapsed() > patience {
            return None;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// The same in the log of a site of the testnet.
pub(super) async fn await_site_line(
    site: &Site,
    from: u64,
    words: &[&str],
    patience: Duration,
) -> Option<String> {
    await_line(&site.log(), usize::try_from(from).unwrap_or(0), words, patience).await
}

/// Waits until a node's admin socket answers.
pub(super) async fn await_socket(socket: &Path, patience: Duration) -> bool {
    let start = Instant::now();
    while admin::status(socket).await.is_err() {
        if start.elapsed() > patience {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
    true
}
