//! The testnet as a whole: paths of its files, running processes, current state of its sites.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use evenkeel_node::operator::status::Status;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::{
    admin,
    process::{FolderLock, Process},
    site::{self, Site},
};
use crate::relay::{self, Control, RelayState};

/// The command-line words after the program's name that identify a relay.
pub const RELAY_WORDS: [&str; 2] = ["relay", "--root"];

/// A wrong argument; the verb exits with code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Written last when the files are made; without it the files are leftovers of a killed verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupMarker {
    /// Whether the testnet runs without the relay.
    pub direct: bool,
}

/// The testnet below one root folder.
#[derive(Clone, Debug)]
pub struct Testnet {
    root: PathBuf,
    /// The node's program.
    pub evenkeel: PathBuf,
    pub sites: Vec<Site>,
}

impl Testnet {
    /// Reads the site files below the root.
    ///
    /// # Errors
    /// When they are missing or inconsistent.
    pub fn open(root: &Path, evenkeel: Option<PathBuf>) -> anyhow::Result<Self> {
        let root = root.canonicalize().with_context(|| root.display().to_string())?;
        let evenkeel = match evenkeel {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None => beside_this_program("evenkeel")?,
        };
        let sites = site::load_all(&root.join("testnet/sites"), &root.join("testnet/run"))?;
        Ok(Self { root, evenkeel, sites })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        self.root.join("testnet/run")
    }

    #[must_use]
    pub fn client_config(&self) -> PathBuf {
        self.run_folder().join("client.toml")
    }

    /// The text of the operator's key.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn operator_key(&self) -> anyhow::Result<String> {
        let path = self.run_folder().join("operator.key");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    #[must_use]
    pub fn relay_folder(&self) -> PathBuf {
        self.run_folder().join("relay")
    }

    fn setup_marker_file(&self) -> PathBuf {
        self.run_folder().join("testnet.json")
    }

    /// Waits until no other verb changes processes or files.
    ///
    /// # Errors
    /// When the folder to lock doesn't exist.
    pub fn acquire_lock(&self) -> anyhow::Result<FolderLock> {
        let folder = self.root.join("testnet/sites");
        FolderLock::acquire(&folder).with_context(|| folder.display().to_string())
    }

    /// The site with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn site(&self, name: &str) -> Result<&Site, UsageError> {
        self.sites.iter().find(|site| site.name == name).ok_or_else(|| {
            let names: Vec<_> = self.sites.iter().map(|site| site.name.as_str()).collect();
            UsageError(format!("no site is called {name}; the sites are {}", names.join(", ")))
        })
    }

    /// How the files were made; `None` when they are missing or incomplete.
    #[must_use]
    pub fn read_setup_marker(&self) -> Option<SetupMarker> {
        let text = fs::read_to_string(self.setup_marker_file()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Marks the files as complete.
    ///
    /// # Errors
    /// When the marker can't be written.
    pub fn write_setup_marker(&self, made: SetupMarker) -> io::Result<()> {
        let new = self.setup_marker_file().with_extension("new");
        fs::write(&new, serde_json::to_string(&made)?)?;
        fs::rename(new, self.setup_marker_file())
    }

    /// How the files were made.
    ///
    /// # Errors
    /// When they are missing or incomplete.
    pub fn demand_setup_marker(&self) -> anyhow::Result<SetupMarker> {
        self.read_setup_marker().context("there is no testnet yet: run `scripts/testnet.sh up`")
    }

    #[must_use]
    pub fn node_process(&self, site: &Site) -> Option<Process> {
        let config = site.config();
        Process::find(&site.pid_file(), &["run", "--config", config.to_str()?])
    }

    /// The process of a site's node.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn demand_process(&self, site: &Site) -> anyhow::Result<Process> {
        self.node_process(site).with_context(|| format!("{} isn't running", site.name))
    }

    #[must_use]
    pub fn relay_process(&self) -> Option<Process> {
        let [verb, flag] = RELAY_WORDS;
        Process::find(&self.relay_folder().join("pid"), &[verb, flag, self.root.to_str()?])
    }

    /// A connection to the relay's control socket.
    ///
    /// # Errors
    /// When the testnet runs without the relay.
    pub fn relay_control(&self) -> anyhow::Result<Control> {
        if self.demand_setup_marker()?.direct {
            bail!(
                "the testnet runs with --direct, so there is no relay between the sites: run `down`, then `up`"
            );
        }
        Ok(Control::new(self.relay_folder().join("control.sock")))
    }

    /// The relay's current state; `None` without a relay.
    #[must_use]
    pub fn relay_state(&self) -> Option<RelayState> {
        self.relay_control().ok()?.order(relay::Order::Tell).ok()
    }

    /// Asks all nodes concurrently; the results are ordered by site.
    pub async fn statuses(&self) -> Vec<Result<Status, admin::AdminCallError>> {
        let asked =
            self.sites.iter().map(|site| async { admin::status(&site.admin_socket()).await });
        join_all(asked).await
    }

    /// The site that reports itself as primary; if there are several, the one with the highest
    /// term.
    ///
    /// # Errors
    /// When no site does.
    pub async fn primary(&self) -> anyhow::Result<&Site> {
        let statuses = self.statuses().await;
        let both = self.sites.iter().zip(&statuses);
        let known = both.filter_map(|(site, status)| Some((site, status.as_ref().ok()?)));
        let primaries = known.filter(|(_, status)| status.is_primary());
        let newest = primaries.max_by_key(|(_, status)| status.term);
        newest.map(|(site, _)| site).context("no site is primary")
    }
}

/// The path of a program that was built together with this one.
fn beside_this_program(name: &str) -> anyhow::Result<PathBuf> {
    let own = fs::read_link("/proc/self/exe").context("/proc/self/exe")?;
    let folder = own.parent().context("this program's path has no folder")?;
    Ok(folder.join(name))
}
