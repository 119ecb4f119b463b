//! `node.toml`: one node's settings, read before it contacts other nodes. The environment
//! (`EVENKEEL_<SECTION>_<KEY>`) overrides the file, and flags (`--set SECTION.KEY=VALUE`) override
//! both. This module never opens a socket or a data folder.
//!
//! Relative paths are relative to the file. `[genesis]` is used only for the first command of a new
//! journal; after that the journal decides. Every error names the key and where it was written. A
//! variable that names no key is never an error.

mod address;
pub mod log_filter;
mod profile;
mod settings;
mod values;

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use evenkeel_wire::{
    day::BusinessDate,
    genesis::Genesis,
    id::{ClusterId, NodeId},
    transfer::Text,
};

pub use address::{Address, AddressError};
pub use profile::{Profile, Timing};
pub use settings::Origin;
use settings::Settings;
pub use values::check_site_name;

/// The most nodes of a cluster: each further node makes a commit wait for more sites.
pub const MEMBERS_MAX: usize = 9;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read { path: String, source: io::Error },
    /// The file isn't TOML.
    #[error("{origin}: {problem}")]
    Syntax { origin: Origin, problem: String },
    /// A key that doesn't exist.
    #[error("{origin}: unknown key {key}")]
    Unknown { origin: Origin, key: String },
    /// A value that can't be used.
    #[error("{origin}: {key}: {problem}")]
    Invalid { origin: Origin, key: String, problem: String },
}

/// Settings from outside the file, which override it.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Environment variables, name and value.
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

/// One node's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `cluster.id`: the cluster that this node belongs to.
    pub cluster: ClusterId,
    /// `cluster.name`: the cluster's name, for people.
    pub name: String,
    /// `cluster.profile`: the timing between sites.
    pub profile: Profile,
    /// `node.id`: this node's number.
    pub node: NodeId,
    /// `node.site`: the name of this node's site.
    pub site: String,
    /// `node.data`: the data folder.
    pub data: PathBuf,
    /// `[listen]`: the addresses that this node listens on.
    pub listen: Listen,
    /// `[tls]`: this node's certificate for the QUIC ports.
    pub tls: TlsFiles,
    /// `http.cert` and `http.key`: TLS for the HTTP port; without them the port is plain.
    pub http_tls: Option<HttpTls>,
    /// `[limits]`: how much a key may send.
    pub rates: Rates,
    /// `limits.connections_per_address`: connections of one address at a client port. `None`: half
    /// of its places; 0: any number.
    pub connections_per_address: Option<u32>,
    /// `admin.socket`: the path of the admin socket.
    pub socket: PathBuf,
    /// `[log]`: the format and filter of the log.
    pub log: LogConfig,
    /// `[genesis]`: the content of a new journal's first command.
    pub genesis: Genesis,
    /// `[[members]]`: all nodes, this one included, in the order of the file.
    pub members: Vec<Member>,
    /// Environment variables that begin with `EVENKEEL_` and set nothing: another program's, or
    /// misspelt.
    pub ignored_variables: Vec<String>,
}

/// The addresses that this node listens on.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// `listen.peer`: QUIC between nodes, UDP.
    pub peer: SocketAddr,
    /// `listen.client`: QUIC for clients, UDP.
    pub client: SocketAddr,
    /// `listen.http`: HTTP, TCP.
    pub http: SocketAddr,
}

/// This node's identity on the QUIC ports.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// `tls.ca`: the cluster's certificate authority.
    pub ca: PathBuf,
    /// `tls.cert`: this node's certificate.
    pub cert: PathBuf,
    /// `tls.key`: the certificate's private key.
    pub key: PathBuf,
}

/// The HTTP port's certificate, for clients that check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTls {
    /// `http.cert`: the certificate.
    pub cert: PathBuf,
    /// `http.key`: its private key.
    pub key: PathBuf,
}

/// The format and filter of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.format`: `readable` or `json`.
    pub format: LogFormat,
    /// `log.filter`: a level, or items such as `openraft=debug`.
    pub filter: String,
}

/// The rates of one key at one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// `limits.requests_per_second`: requests over HTTP per second in the long run.
    pub requests_per_second: u32,
    /// `limits.burst`: requests over HTTP at once.
    pub burst: u32,
    /// `limits.commands_per_second`: commands per second over both doors, those of one second or
    /// of one largest batch at once; 0: any number.
    pub commands_per_second: u64,
    /// `limits.bytes_per_second`: bytes of requests per second, in the same way.
    pub bytes_per_second: u64,
    /// `limits.operator_exempt`: operators' keys have no rate limit.
    pub operator_exempt: bool,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            requests_per_second: 5_000,
            burst: 10_000,
            commands_per_second: 200_000,
            bytes_per_second: 64 << 20,
            operator_exempt: false,
        }
    }
}

/// The reader of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// People.
    Readable,
    /// Programs: one JSON object a line.
    Json,
}

/// One node of the cluster, with the addresses where others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `node`: its number.
    pub node: NodeId,
    /// `site`: the name of its site.
    pub site: String,
    /// `peer`: its address for other nodes.
    pub peer: Address,
    /// `client`: its address for clients.
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
            connections_per_address: settings.get_or(
                "limits.connections_per_address",
                None,
                |value| values::number_of_32_bits(value).map(Some),
            )?,
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
            ignored_variables: settings.ignored.clone(),
        };
        config.check(&settings)?;
        Ok(config)
    }

    /// The warning about [`Self::ignored_variables`], if there are any.
    #[must_use]
    pub fn ignored_variables_warning(&self) -> Option<String> {
        let names = &self.ignored_variables;
        (!names.is_empty()).then(|| {
            format!(
                "these environment variables set nothing: {}; they belong to another program, or are misspelt",
                names.join(", ")
            )
        })
    }

    /// This node's entry in the list of members.
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

    /// Checks settings against each other.
    fn check(&self, settings: &Settings) -> Result<(), ConfigError> {
        let plain = settings.get_or("http.plain", false, values::boolean)?;
        if self.http_tls.is_none() && !self.listen.http.ip().is_loopback() && !plain {
            return Err(settings.invalid_setting(
                "listen.http",
                "keys would cross the network in the clear; set http.cert and http.key, or http.plain = true if a proxy in front speaks TLS".to_owned(),
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
                return wrong("node", format!("node {} is listed twice", member.node));
            }
            if !sites.insert(&member.site) {
                return wrong("site", format!("site {} is listed twice", member.site));
            }
            for (key, address) in [("peer", &member.peer), ("client", &member.client)] {
                if !peers.insert(address) {
                    return wrong(key, format!("{address} is listed twice"));
                }
            }
        }
        match self.members.iter().find(|member| member.node == self.node) {
            None => Err(settings.invalid_setting(
                "node.id",
                format!(
                    "node {} is not among the [[members]]; add it with the address where others reach it",
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
    let usual = Rates::default();
    let key = |name| format!("limits.{name}");
    Ok(Rates {
        requests_per_second: settings.get_or(
            &key("requests_per_second"),
            usual.requests_per_second,
            values::at_least_one,
        )?,
        burst: settings.get_or(&key("burst"), usual.burst, values::at_least_one)?,
        commands_per_second: settings.get_or(
            &key("commands_per_second"),
            usual.commands_per_second,
            values::number,
        )?,
        bytes_per_second: settings.get_or(
            &key("bytes_per_second"),
            usual.bytes_per_second,
            values::number,
        )?,
        operator_exempt: settings.get_or(
            &key("operator_exempt"),
            usual.operator_exempt,
            values::boolean,
        )?,
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
        // Known only when the ledger is bootstrapped.
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
