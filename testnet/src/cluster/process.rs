//! Processes that outlive the verb that started them: found again, signalled, waited for.
//!
//! A pid file alone proves nothing, since numbers are used again: a process counts as ours only when its command
//! line says so, and it's held by a pidfd from then on. Every process lives in a session of its own.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setsid},
};
use tokio::time::{Instant, sleep};

/// The verb by which this program becomes another: see [`detach`].
const DETACH: &str = "detach";

/// A running process, held so that its number can't come to mean another.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    handle: OwnedFd,
}

impl Process {
    /// The process whose command line has these words after the program's name: the one that the pid file names, else
    /// (the file was never written) any.
    #[must_use]
    pub fn find(pid_file: &Path, words: &[&str]) -> Option<Self> {
        let noted = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(process) = noted.and_then(|pid| Self::open_pidfd(pid, words)) {
            return Some(process);
        }
        let all = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find_map(|pid| Self::open_pidfd(pid, words))
    }

    fn open_pidfd(pid: i32, words: &[&str]) -> Option<Self> {
        let number = Pid::from_raw(pid)?;
        if !command_line_has(pid, words) {
            return None;
        }
        let handle = pidfd_open(number, PidfdFlags::empty()).ok()?;
        // It may have gone, and its number to another, before the handle was there.
        command_line_has(pid, words).then_some(Self { pid: number, handle })
    }

    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal; to one that is gone, nothing.
    ///
    /// # Errors
    /// When the kernel forbids it.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    #[must_use]
    pub fn is_gone(&self) -> bool {
        let mut handles = [PollFd::new(&self.handle, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut handles, Some(&at_once)), Ok(ready) if ready > 0)
    }

    /// Waits for its end; `false`: it still runs.
    pub async fn await_gone(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while !self.is_gone() {
            if start.elapsed() > patience {
                return false;
            }
            sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Whether SIGSTOP holds it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The name in front may contain anything, but the last parenthesis ends it.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// Resident memory, bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }
}

fn command_line_has(pid: i32, words: &[&str]) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut said = line.split(|byte| *byte == 0).skip(1).peekable();
    if said.next_if_eq(&DETACH.as_bytes()).is_some() {
        // About to become the other: its name comes next.
        said.next();
    }
    said.take(words.len()).eq(words.iter().map(|word| word.as_bytes()))
}

/// Starts a program that outlives this one; its output is appended to the log. Gives its process number.
///
/// # Errors
/// When the log can't be opened or the program not be started.
pub fn start(program: &Path, arguments: &[&str], log: &Path) -> io::Result<u32> {
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    // This program again, which leaves the session before it becomes the other: see `detach`.
    let mut child = Command::new("/proc/self/exe")
        .arg(DETACH)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = child.id();
    // While this program runs, the other's remains must not look like a process that is still there.
    thread::Builder::new().name("reaper".into()).spawn(move || child.wait())?;
    Ok(pid)
}

/// Becomes another program in a session of its own, so that no terminal's end reaches it.
pub fn detach(program: &str, arguments: &[String]) -> io::Error {
    match setsid() {
        Ok(_) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    }
}

/// Writes a pid file whole or not at all.
///
/// # Errors
/// When it can't be written.
pub fn write_pid(path: &Path, pid: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{pid}\n"))?;
    fs::rename(new, path)
}

/// Holds a folder for one verb that changes processes or files; others wait. Ends with the process, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _folder: File,
}

impl FolderLock {
    /// Waits for its turn.
    ///
    /// # Errors
    /// When the folder can't be opened.
    pub fn acquire(folder: &Path) -> io::Result<Self> {
        let folder = File::open(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self { _folder: folder })
    }
}
