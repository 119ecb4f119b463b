//! strace output: which files and folders a node synced, and when.
//!
//! There is one trace file for each thread, so that no call is split. Times are in seconds since
//! the Unix epoch.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::{
    process::{Pid, Signal, kill_process},
    time::{ClockId, clock_gettime},
};

const CALLS: &str = "trace=fdatasync,fsync,rename,renameat,renameat2,openat,creat";

/// One finished system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemCall {
    /// Microseconds since the Unix epoch.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) name: String,
    /// As strace prints it: everything after the name.
    pub(crate) rest: String,
    pub(crate) done: bool,
}

/// A running strace.
#[derive(Debug)]
pub(crate) struct Strace {
    child: Child,
    folder: PathBuf,
}

/// Fails with a clear error when strace is missing.
pub(crate) fn demand_strace() -> anyhow::Result<()> {
    let found =
        Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => {
            bail!("strace is missing: install it (apt-get install strace), then run this row again")
        }
    }
}

/// The wall clock that strace uses, in microseconds since the Unix epoch.
pub(crate) fn unix_micros() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000
        + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

impl Strace {
    /// Attaches to a running process.
    pub(crate) fn attach(pid: i32, folder: PathBuf) -> anyhow::Result<Self> {
        Self::spawn_strace(&["-p", &pid.to_string()], folder)
    }

    /// Traces a program from its first call on.
    pub(crate) fn launch(program: &[&str], folder: PathBuf) -> anyhow::Result<Self> {
        Self::spawn_strace(program, folder)
    }

    fn spawn_strace(what: &[&str], folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let child = Command::new("strace")
            .args(["-ff", "-ttt", "-T", "-y", "-qq", "-e", CALLS, "-o"])
            .arg(folder.join("thread"))
            .args(what)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("strace")?;
        Ok(Self { child, folder })
    }

    /// Whether at least one thread is traced.
    pub(crate) fn is_following(&self) -> bool {
        fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Detaches from the process, or ends it if strace launched it; returns all calls.
    pub(crate) fn stop_and_read(mut self) -> anyhow::Result<Vec<SystemCall>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        read(&self.folder)
    }

    /// Waits until the process exits by itself; returns all calls.
    pub(crate) fn wait_and_read(mut self, patience: Duration) -> anyhow::Result<Vec<SystemCall>> {
        let start = unix_micros();
        while self.child.try_wait()?.is_none() {
            if u128::from(unix_micros() - start) > patience.as_micros() {
                self.child.kill()?;
                bail!("the traced process doesn't exit");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        read(&self.folder)
    }
}

fn read(folder: &Path) -> anyhow::Result<Vec<SystemCall>> {
    let mut calls = Vec::new();
    for entry in fs::read_dir(folder)? {
        let text = fs::read(entry?.path())?;
        calls.extend(String::from_utf8_lossy(&text).lines().filter_map(SystemCall::parse));
    }
    calls.sort_by_key(|call| call.end);
    Ok(calls)
}

impl SystemCall {
    /// `1700000000.123456 fdatasync(7</data/journal/0.open>) = 0 <0.000123>`
    fn parse(line: &str) -> Option<Self> {
        let (time, call) = line.split_once(' ')?;
        let (name, rest) = call.split_once('(')?;
        let (rest, took) = rest.rsplit_once(" <")?;
        let start = micros(time)?;
        let end = start + micros(took.strip_suffix('>')?)?;
        let done = rest.rsplit_once(") = ").is_some_and(|(_, result)| !result.starts_with('-'));
        Some(Self { start, end, name: name.trim().to_owned(), rest: rest.to_owned(), done })
    }

    /// The path of the file descriptor in the first argument: `7</path>`.
    pub(crate) fn path(&self) -> Option<&str> {
        let (_, rest) = self.rest.split_once('<')?;
        rest.split_once('>').map(|(path, _)| path)
    }

    /// The last quoted path: the opened file, or the new name of a renamed one.
    pub(crate) fn quoted_path(&self) -> Option<&str> {
        self.rest.rsplit('"').nth(1)
    }

    pub(crate) fn makes_or_renames(&self) -> bool {
        let made = self.rest.contains("O_CREAT") || self.name == "creat";
        self.done && (made || self.name.starts_with("rename"))
    }
}

/// Parses seconds with six decimals into microseconds.
fn micros(text: &str) -> Option<u64> {
    let (seconds, part) = text.trim().split_once('.')?;
    let part = format!("{part:0<6}");
    Some(seconds.parse::<u64>().ok()? * 1_000_000 + part.get(..6)?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_strace_are_understood() {
        let line = "1700000000.000100 fdatasync(7</data/journal/0.open>) = 0 <0.000123>";
        let call = SystemCall::parse(line).unwrap();
        assert_eq!((call.start, call.end), (1_700_000_000_000_100, 1_700_000_000_000_223));
        assert_eq!(call.path(), Some("/data/journal/0.open"));
        assert!(call.done && call.name == "fdatasync");

        let line = r#"1700000000.5 openat(AT_FDCWD</>, "/data/vote.a", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 9</data/vote.a> <0.00002>"#;
        let call = SystemCall::parse(line).unwrap();
        assert_eq!(call.quoted_path(), Some("/data/vote.a"));
        assert!(call.makes_or_renames());

        let line = r#"1700000000.5 rename("/a/x.new", "/a/x") = -1 ENOENT (No such file or directory) <0.00002>"#;
        let call = SystemCall::parse(line).unwrap();
        assert_eq!(call.quoted_path(), Some("/a/x"));
        assert!(!call.done && !call.makes_or_renames());

        assert_eq!(SystemCall::parse("1700000000.5 +++ exited with 0 +++"), None);
    }
}
