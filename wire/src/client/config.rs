//! client.toml: the cluster, its authority, the key and the sites.

use std::{
    fmt::Display,
    fs, io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    id::{ClusterId, NodeId},
    identity::{IdentityError, Trust},
};

/// The longest key that HELLO carries.
const KEY_BYTES_MAX: usize = 128;

/// The settings of a client.
#[derive(Clone)]
pub struct ClientConfig {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// The authority's certificates, PEM.
    pub ca: PathBuf,
    /// The key's text, `ek_…`.
    pub key: String,
    /// All sites whose addresses are known.
    pub sites: Vec<SiteAddress>,
    /// Sites without an address, and the reason: a site's name may be lost together with the site.
    pub left_out: Vec<String>,
}

/// The addresses of a site's doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAddress {
    /// The site's name.
    pub name: String,
    /// The number of its node.
    pub node: NodeId,
    /// The port for clients (QUIC).
    pub client: SocketAddr,
    /// The port for HTTP: host and port, or a whole URL; with `https` where the site speaks TLS.
    pub http: String,
}

/// Why client.toml is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file's content is invalid.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The mistake, with its line if known.
        what: String,
    },
    /// No site's name resolves to an address.
    #[error("{}: {what}", path.display())]
    Unresolved {
        /// The file.
        path: PathBuf,
        /// All names, and the resolver's errors.
        what: String,
    },
    /// The authority's file is unusable.
    #[error(transparent)]
    Ca(#[from] IdentityError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    ca: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    sites: Vec<Site>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Site {
    name: String,
    node: NodeId,
    client: String,
    http: String,
}

impl ClientConfig {
    /// Reads client.toml and the files that it names; their paths are relative to it. Resolves
    /// host names and leaves out the sites that don't resolve: a client must work without a site
    /// that burned.
    ///
    /// # Errors
    /// Names the file and the mistake; or no site resolves.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let content = |what: String| ConfigError::Content { path: path.into(), what };
        let file: File = toml::from_str(&read(path)?)
            .map_err(|error| content(error.to_string().trim_end().to_owned()))?;
        let cluster = ClusterId::parse(&file.cluster)
            .map_err(|error| content(format!("cluster {:?} is {error}", file.cluster)))?;
        if file.sites.is_empty() {
            return Err(content("it names no site ([[sites]])".into()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let ca = folder.join(&file.ca);
        Trust::load(&ca, cluster)?;
        let key = read_key(&folder.join(&file.key_file))?;
        let (mut sites, mut left_out) = (Vec::new(), Vec::new());
        for site in file.sites {
            match SiteAddress::resolve_site(site) {
                Ok(site) => sites.push(site),
                Err(SiteAddressError::Malformed(what)) => return Err(content(what)),
                Err(SiteAddressError::Unresolved(what)) => left_out.push(what),
            }
        }
        if sites.is_empty() {
            let what = left_out.join("; ");
            return Err(ConfigError::Unresolved { path: path.into(), what });
        }
        Ok(Self { cluster, ca, key, sites, left_out })
    }
}

/// Why a site has no address.
enum SiteAddressError {
    Malformed(String),
    Unresolved(String),
}

impl SiteAddress {
    fn resolve_site(site: Site) -> Result<Self, SiteAddressError> {
        let Site { name, node, client, http } = site;
        let describe = |why: &dyn Display| format!("site {name}: client = {client:?}: {why}");
        match client.to_socket_addrs().map(|mut found| found.next()) {
            Ok(Some(client)) => Ok(Self { name, node, client, http }),
            Ok(None) => Err(SiteAddressError::Unresolved(describe(&"no address"))),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                Err(SiteAddressError::Malformed(describe(&error)))
            }
            Err(error) => Err(SiteAddressError::Unresolved(describe(&error))),
        }
    }
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs.
        f.debug_struct("ClientConfig")
            .field("cluster", &self.cluster)
            .field("ca", &self.ca)
            .field("sites", &self.sites)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.into(), error })
}

fn read_key(path: &Path) -> Result<String, ConfigError> {
    let text = read(path)?;
    let key = text.trim_end_matches(['\r', '\n']);
    let one_word = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if one_word && key.len() <= KEY_BYTES_MAX {
        return Ok(key.into());
    }
    let what = format!("not one line with a key of at most {KEY_BYTES_MAX} characters");
    Err(ConfigError::Content { path: path.into(), what })
}
