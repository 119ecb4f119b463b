//! Processes that outlive the verb that started them: found again, signalled, waited for.
//!
//! A pid file alone proves nothing, since pids are reused: a process is identified by its command
//! line, too, and then held by a pidfd. Every process runs in its own session.

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

/// The verb by which this program execs another one: see [`detach`].
const DETACH: &str = "detach";

/// A running process, held by a pidfd so that a reused pid isn't mistaken for it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    handle: OwnedFd,
}

impl Process {
    /// Finds the process whose command line has these words after the program's name: first the one
    /// in the pid file; if that fails (the file may never have been written), any process.
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
        // Checks again: before the pidfd was open the process may have exited and its pid been
        // reused.
        command_line_has(pid, words).then_some(Self { pid: number, handle })
    }

    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal; does nothing when the process is gone.
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

    /// Waits for the process to exit; `false` if it's still running.
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

    /// Whether the process is stopped by SIGSTOP.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The program's name may contain anything; the last parenthesis ends it.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// Resident memory, in bytes.
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
        // Before its exec, a process in [`detach`] has this program's name; the target's name
        // follows.
        said.next();
    }
    said.take(words.len()).eq(words.iter().map(|word| word.as_bytes()))
}

/// Starts a program that outlives this one; its output is appended to the log. Returns its pid.
///
/// # Errors
/// When the log can't be opened or the program can't be started.
pub fn start(program: &Path, arguments: &[&str], log: &Path) -> io::Result<u32> {
    let log = OpenOptions::new().append(true).create(true).open(log)?;
    // Runs this program, which leaves the session before it execs the other one: see `detach`.
    let mut child = Command::new("/proc/self/exe")
        .arg(DETACH)
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let pid = child.id();
    // While this program runs, the child must be reaped, or it would look like a live process.
    thread::Builder::new().name("reaper".into()).spawn(move || child.wait())?;
    Ok(pid)
}

/// Execs another program in a new session, so that closing a terminal doesn't end it.
pub fn detach(program: &str, arguments: &[String]) -> io::Error {
    match setsid() {
        Ok(_) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    }
}

/// Writes a pid file atomically.
///
/// # Errors
/// When it can't be written.
pub fn write_pid(path: &Path, pid: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{pid}\n"))?;
    fs::rename(new, path)
}

/// Locks a folder for one verb that changes processes or files; other verbs wait. The kernel
/// releases the lock when the process ends, even after a crash.
#[derive(Debug)]
pub struct FolderLock {
    _folder: File,
}

impl FolderLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// When the folder can't be opened.
    pub fn acquire(folder: &Path) -> io::Result<Self> {
        let folder = File::open(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self { _folder: folder })
    }
}
