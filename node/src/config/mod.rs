//! node.toml: what one node needs to know before it can ask anybody. The environment (`EVENKEEL_<SECTION>_<KEY>`) goes
//! over the file, flags (`--set SECTION.KEY=VALUE`) over both.
//!
//! Relative paths are relative to the file. `[genesis]` only seeds the first command of a new journal; from then on the
//! journal has the word. Every error names the key and where it was written.

mod address;
pub mod log_filter;
mod settings;
mod values;

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use evenkeel_wire::{
    day::BusinessDate,
    genesis::Genesis,
    id::{ClusterId, NodeId},
    transfer::Text,
};

pub use address::{Address, AddressError};
pub use settings::Origin;
use settings::Settings;
pub use values::check_site_name;

/// The most nodes of a cluster: each one more makes every commit wait for more sites.
pub const MEMBERS_MAX: usize = 9;

/// Why a node can't be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    /// Not TOML.
    #[error("{origin}: {problem}")]
    Syntax { origin: Origin, problem: String },
    /// A key that nobody would read.
    #[error("{origin}: unknown key {key}")]
    Unknown { origin: Origin, key: String },
    /// A value that can't be used.
    #[error("{origin}: {key}: {problem}")]
    Invalid { origin: Origin, key: String, problem: String },
}

/// What goes over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Variables, name and value.
    pub environment: Vec<(String, String)>,
    /// Flags, `section.key` and value.
    pub flags: Vec<(String, String)>,
}

impl Overrides {
    /// From this process's environment, with these flags.
    #[must_use]
    pub fn from_environment(flags: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("EVENKEEL_"))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        Self { environment, flags }
    }
}

/// How far the sites are apart, which decides how patient they are with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Round trips up to 10 ms.
    Metro,
    /// Up to 50 ms.
    Region,
    /// Up to 150 ms.
    World,
}

/// How patient the sites are with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election_min: Duration,
    /// The lease of a primary, too.
    pub election_max: Duration,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Metro, Self::Region, Self::World];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metro => "metro",
            Self::Region => "region",
            Self::World => "world",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The figures behind the name.
    #[must_use]
    pub fn timing(self) -> Timing {
        let (heartbeat, election_min, election_max) = match self {
            Self::Metro => (50, 150, 300),
            Self::Region => (250, 1_000, 1_500),
            Self::World => (500, 1_500, 2_500),
        };
        Timing {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
        }
    }
}

/// One node's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster: ClusterId,
    pub name: String,
    pub profile: Profile,
    pub node: NodeId,
    pub site: String,
    pub data: PathBuf,
    pub listen: Listen,
    pub tls: TlsFiles,
    /// TLS for the HTTP port; without it the port is plain.
    pub http_tls: Option<HttpTls>,
    /// How often keys may ask over HTTP.
    pub rates: Rates,
    /// The admin socket.
    pub socket: PathBuf,
    pub log: LogConfig,
    pub genesis: Genesis,
    /// All nodes, this one included, in the order of the file.
    pub members: Vec<Member>,
}

/// Where this node listens.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// UDP.
    pub peer: SocketAddr,
    /// UDP.
    pub client: SocketAddr,
    /// TCP.
    pub http: SocketAddr,
}

/// This node's identity.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Who the HTTP port is, for clients that check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What the log looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    pub format: LogFormat,
    pub filter: String,
}

/// What one key may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Requests that a key may ask in a second, for ever.
    pub requests_per_second: u32,
    /// Requests that it may ask at once.
    pub burst: u32,
    /// Operators' keys may ask as often as they like.
    pub operator_exempt: bool,
}

/// For whom the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// People.
    Readable,
    /// Programs: one JSON object a line.
    Json,
}

/// One node of the cluster, as this one reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub node: NodeId,
    pub site: String,
    pub peer: Address,
    pub client: Address,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Names the key and where it was written.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let read_failed = |source| ConfigError::Read { path: path.display().to_string(), source };
        let text = std::fs::read_to_string(path).map_err(read_failed)?;
        let folder = std::path::absolute(path).map_err(read_failed)?;
        let folder = folder.parent().unwrap_or(Path::new("/"));
        let settings = Settings::read(path, &text, overrides)?;
        let config = Self {
            cluster: settings.get("cluster.id", values::cluster_id)?,
            name: settings.get_or("cluster.name", "evenkeel".to_owned(), values::name)?,
            profile: settings.get_or("cluster.profile", Profile::Metro, values::profile)?,
            node: settings.get("node.id", values::node_id)?,
            site: settings.get("node.site", values::site_name)?,
            data: settings.get_or("node.data", folder.join("data"), values::path_in(folder))?,
            listen: Listen {
                peer: settings.get("listen.peer", values::socket_address)?,
                client: settings.get("listen.client", values::socket_address)?,
                http: settings.get("listen.http", values::socket_address)?,
            },
            tls: TlsFiles {
                ca: settings.get("tls.ca", values::path_in(folder))?,
                cert: settings.get("tls.cert", values::path_in(folder))?,
                key: settings.get("tls.key", values::path_in(folder))?,
            },
            http_tls: http_tls(&settings, folder)?,
            rates: rates(&settings)?,
            socket: settings.get_or(
                "admin.socket",
                folder.join("admin.sock"),
                values::path_in(folder),
            )?,
            log: LogConfig {
                format: settings.get_or("log.format", LogFormat::Readable, values::log_format)?,
                filter: settings.get_or(
                    "log.filter",
                    "info".to_owned(),
                    values::log_filter_text,
                )?,
            },
            genesis: genesis(&settings)?,
            members: (0..settings.members)
                .map(|number| member(&settings, number))
                .collect::<Result<_, _>>()?,
        };
        config.check(&settings)?;
        Ok(config)
    }

    /// This node among the members.
    ///
    /// # Panics
    /// Never: a configuration without this node doesn't load.
    #[must_use]
    pub fn own_member(&self) -> &Member {
        self.members
            .iter()
            .find(|member| member.node == self.node)
            .expect("checked when it was loaded")
    }

    /// What contradicts itself only as a whole.
    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let plain = settings.get_or("http.plain", false, values::boolean)?;
        if self.http_tls.is_none() && !self.listen.http.ip().is_loopback() && !plain {
            return Err(settings.invalid_setting(
                "listen.http",
                "keys would cross the network in the clear; set http.cert and http.key, or http.plain = true where something in front speaks TLS".to_owned(),
            ));
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(settings.invalid_setting(
                "members",
                format!("{} nodes; {MEMBERS_MAX} at most", self.members.len()),
            ));
        }
        let (mut nodes, mut sites, mut peers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (number, member) in self.members.iter().enumerate() {
            let wrong = |key: &str, what: String| {
                Err(settings.invalid_setting(&format!("members[{number}].{key}"), what))
            };
            if !nodes.insert(member.node) {
                return wrong("node", format!("node {} is there twice", member.node));
            }
            if !sites.insert(&member.site) {
                return wrong("site", format!("site {} is there twice", member.site));
            }
            for (key, address) in [("peer", &member.peer), ("client", &member.client)] {
                if !peers.insert(address) {
                    return wrong(key, format!("{address} is there twice"));
                }
            }
        }
        match self.members.iter().find(|member| member.node == self.node) {
            None => Err(settings.invalid_setting(
                "node.id",
                format!(
                    "node {} is not among the [[members]]; add it, as others reach it",
                    self.node
                ),
            )),
            Some(own) if own.site != self.site => Err(settings.invalid_setting(
                "node.site",
                format!(
                    "{} here, but node {} is {} among the [[members]]",
                    self.site, self.node, own.site
                ),
            )),
            Some(_) => Ok(()),
        }
    }
}

fn http_tls(settings: &Settings, folder: &Path) -> Result<Option<HttpTls>, ConfigError> {
    let path = |key| settings.get_or(key, None, |value| values::path_in(folder)(value).map(Some));
    match (path("http.cert")?, path("http.key")?) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(HttpTls { cert, key })),
        (Some(_), None) => {
            Err(settings.invalid_setting("http.key", "is missing beside http.cert".to_owned()))
        }
        (None, Some(_)) => {
            Err(settings.invalid_setting("http.cert", "is missing beside http.key".to_owned()))
        }
    }
}

fn rates(settings: &Settings) -> Result<Rates, ConfigError> {
    Ok(Rates {
        requests_per_second: settings.get_or(
            "limits.requests_per_second",
            5_000,
            values::at_least_one,
        )?,
        burst: settings.get_or("limits.burst", 10_000, values::at_least_one)?,
        operator_exempt: settings.get_or("limits.operator_exempt", false, values::boolean)?,
    })
}

fn genesis(settings: &Settings) -> Result<Genesis, ConfigError> {
    let seoul = Text::new("Asia/Seoul").expect("shorter than the limit");
    Ok(Genesis {
        cluster: settings.get("cluster.id", values::cluster_id)?,
        assets: settings.get("genesis.assets", values::assets)?,
        wallet_max_balance: settings.get_or(
            "genesis.wallet_max_balance",
            2_000_000,
            values::balance,
        )?,
        id_horizon_ms: settings.get_or("genesis.id_horizon_s", 604_800_000, values::seconds)?,
        id_tolerance_ms: settings.get_or("genesis.id_tolerance_s", 300_000, values::seconds)?,
        time_zone: settings.get_or("genesis.time_zone", seoul, values::time_zone)?,
        operator_key: settings.get("genesis.operator_key", values::key_hash)?,
        // Not known before somebody founds the ledger.
        first_date: BusinessDate::FIRST,
    })
}

fn member(settings: &Settings, number: usize) -> Result<Member, ConfigError> {
    let key = |name: &str| format!("members[{number}].{name}");
    Ok(Member {
        node: settings.get(&key("node"), values::node_id)?,
        site: settings.get(&key("site"), values::site_name)?,
        peer: settings.get(&key("peer"), values::address)?,
        client: settings.get(&key("client"), values::address)?,
    })
}
