//! A site: name, node number and ports from a file in `testnet/sites/`, and the paths of its files.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use evenkeel_wire::id::NodeId;
use serde::Deserialize;

/// A file in `testnet/sites/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    pub name: String,
    pub node: NodeId,
    /// The base port: peers use it, clients the next one, HTTP the one after that.
    pub port: u16,
}

/// A site of the testnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub name: String,
    pub node: NodeId,
    port: u16,
    folder: PathBuf,
}

impl Site {
    #[must_use]
    pub fn new(plan: SiteFile, run_folder: &Path) -> Self {
        let folder = run_folder.join(&plan.name);
        Self { name: plan.name, node: plan.node, port: plan.port, folder }
    }

    /// The site's argument for `cluster new`.
    #[must_use]
    pub fn argument(&self) -> String {
        format!("{}={}:{}", self.name, Ipv4Addr::LOCALHOST, self.port)
    }

    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    #[must_use]
    pub fn client_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 1).into()
    }

    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 2).into()
    }

    /// The relay's address at which another site reaches this one.
    #[must_use]
    pub fn relayed_address(&self, from: NodeId) -> SocketAddr {
        let above = u16::try_from(from).expect("a testnet has a handful of sites");
        (Ipv4Addr::LOCALHOST, self.port + 10 + above).into()
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    /// The last lines of the node's log, for reports of failed starts.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The current length of the log, for a later [`Self::log_since`].
    #[must_use]
    pub fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |metadata| metadata.len())
    }

    /// The part of the log written since it had this length.
    #[must_use]
    pub fn log_since(&self, length: u64) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let from = usize::try_from(length).unwrap_or(usize::MAX).min(text.len());
        String::from_utf8_lossy(&text[from..]).into_owned()
    }
}

/// Loads all site files of a folder, ordered by node number.
///
/// # Errors
/// When the folder or a file can't be read, or two sites conflict.
pub fn load_all(sites_folder: &Path, run_folder: &Path) -> anyhow::Result<Vec<Site>> {
    let mut sites = Vec::new();
    for path in files_of(sites_folder).with_context(|| sites_folder.display().to_string())? {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let plan: SiteFile = toml::from_str(&text).with_context(|| path.display().to_string())?;
        sites.push(Site::new(plan, run_folder));
    }
    sites.sort_by_key(|site| site.node);
    for (number, site) in sites.iter().enumerate() {
        // `cluster new` numbers the nodes in the order of its --site arguments.
        if usize::try_from(site.node).is_ok_and(|node| node != number + 1) {
            bail!("{}: nodes are numbered from 1 without gaps", sites_folder.display());
        }
    }
    Ok(sites)
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect())
}
