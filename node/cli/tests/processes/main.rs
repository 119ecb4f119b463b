//! Clusters of one and five sites, as real processes on this machine.

mod alone;
mod five;
#[path = "../support/mod.rs"]
mod support;

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use support::{evenkeel, finish};
use tempfile::TempDir;

/// A cluster's files, in their own folder.
struct Cluster {
    folder: TempDir,
    /// The sites' names and base ports.
    sites: Vec<(String, u16)>,
}

impl Cluster {
    fn of(sites: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sites: Vec<_> =
            (1..=sites).map(|number| (format!("site{number}"), base_port())).collect();
        let mut command = evenkeel();
        command.current_dir(folder.path()).args(["cluster", "new", "--out", "made"]);
        for (name, port) in &sites {
            command.arg("--site").arg(format!("{name}=127.0.0.1:{port}"));
        }
        let (code, _, error) = finish(command.output().expect("the program starts"));
        assert_eq!(code, 0, "{error}");
        Self { folder, sites }
    }

    fn made(&self) -> std::path::PathBuf {
        self.folder.path().join("made")
    }

    /// Starts the node of a site.
    fn run(&self, site: usize) -> Running {
        let mut command = evenkeel();
        command.args(["run", "--config"]);
        command.arg(self.made().join(&self.sites[site].0).join("node.toml"));
        Running(command.stderr(Stdio::null()).spawn().expect("the program starts"))
    }

    fn wallet(&self, arguments: &[&str]) -> (i32, String, String) {
        wallet(&self.made(), arguments)
    }
}

fn wallet(made: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = evenkeel();
    command.args(["wallet", "--client"]).arg(made.join("client.toml")).args(arguments);
    finish(command.output().expect("the program starts"))
}

/// A base port with three free ports, below the ephemeral range; never the same one twice.
fn base_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 2_000).expect("small") * 5;
    let is_free = |base: &u16| {
        UdpSocket::bind(("127.0.0.1", *base)).is_ok()
            && UdpSocket::bind(("127.0.0.1", base + 1)).is_ok()
            && TcpListener::bind(("127.0.0.1", base + 2)).is_ok()
    };
    let next = || 20_000 + (begin + NEXT.fetch_add(5, Ordering::Relaxed)) % 10_000;
    std::iter::repeat_with(next).find(is_free).expect("the iterator is infinite")
}

/// A node's process; killed when the test ends.
struct Running(Child);

impl Running {
    /// Stops the process with SIGSTOP: it sends nothing.
    fn stand_still(&self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("ours");
        kill_process(pid, Signal::STOP).expect("ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("ours");
        self.0.wait().expect("ours");
    }
}
