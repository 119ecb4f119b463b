//! Shared by the program's tests: running it, and a cluster's files to run it on.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod played_http;
pub(crate) mod played_json;
pub(crate) mod played_ledger;
pub(crate) mod played_site;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// The program, without the variables of this shell's environment that would affect it.
pub(crate) fn evenkeel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVENKEEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program to its end: exit code, stdout, stderr.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    finish(evenkeel().args(arguments).output().expect("the program starts"))
}

pub(crate) fn finish(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("not killed"), text(output.stdout), text(output.stderr))
}

/// The files of a new cluster: three sites on this machine.
pub(crate) struct Files {
    pub(crate) folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        let out = files.out();
        let (code, _, error) = run(&[
            "cluster",
            "new",
            "--out",
            out.to_str().expect("UTF-8"),
            "--site",
            "pangyo=127.0.0.1:7100",
            "--site",
            "sangam=127.0.0.1:7200",
            "--site",
            "busan=127.0.0.1:7300",
        ]);
        assert_eq!(code, 0, "{error}");
        files
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    pub(crate) fn site(&self, name: &str) -> PathBuf {
        self.out().join(name)
    }

    pub(crate) fn client_toml(&self) -> PathBuf {
        self.out().join("client.toml")
    }

    /// Removes all sites but the first from client.toml.
    pub(crate) fn keep_one_site(&self) {
        let text = std::fs::read_to_string(self.client_toml()).expect("readable");
        let end = text.match_indices("[[sites]]").nth(1).expect("more than one").0;
        std::fs::write(self.client_toml(), &text[..end]).expect("writable");
    }

    /// Points the other sites' HTTP addresses away from a testnet that may run on this machine.
    pub(crate) fn nobody_else_speaks_http(&self) {
        self.lead_away(&["7102", "7202", "7302"]);
    }

    /// The same for the QUIC addresses; the first site's already points to its simulated site.
    pub(crate) fn nobody_else_speaks_quic(&self) {
        self.lead_away(&["7201", "7301"]);
    }

    fn lead_away(&self, ports: &[&str]) {
        let text = std::fs::read_to_string(self.client_toml()).expect("readable");
        let alone = ports.iter().zip(1..).fold(text, |text, (port, nobody)| {
            text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{nobody}"))
        });
        std::fs::write(self.client_toml(), alone).expect("writable");
    }

    pub(crate) fn node_toml(&self) -> PathBuf {
        self.site("pangyo").join("node.toml")
    }

    /// Replaces a text in node.toml, which must contain it.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        replace(&self.node_toml(), from, to);
    }
}

pub(crate) fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("readable");
    assert!(text.contains(from), "{from:?} isn't in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).expect("writable");
}
