//! `evenkeel cluster new`: the files that the sites of a new cluster need, and the operator's key.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::PathBuf,
};

use evenkeel_storage::superblock::FOUNDING;
use evenkeel_wire::{amount::Asset, id::ClusterId};
use serde_json::json;

use super::{
    authority::{Authority, CERTIFICATE_FILE, KEY_FILE},
    cert,
    files::PendingFiles,
    site::Site,
};
use crate::{Failure, output};
use evenkeel_node::{
    admission,
    config::{MEMBERS_MAX, Profile},
};

#[derive(Debug, clap::Args)]
pub(crate) struct NewClusterArgs {
    /// The folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A site and its base port: peers use PORT, clients PORT+1, HTTP PORT+2
    #[arg(long = "site", value_name = "NAME=HOST:PORT", required = true)]
    sites: Vec<Site>,
    /// The cluster's name, shown to people
    #[arg(long, value_name = "CLUSTER", default_value = "evenkeel")]
    name: String,
    /// Distance between the sites: round trips up to 10 (metro), 50 (region) or 150 ms (world)
    #[arg(long, default_value = "metro", value_parser = parse_profile)]
    profile: Profile,
    /// An asset of the ledger; may be repeated
    #[arg(long = "asset", value_name = "ASSET", default_value = "KRW", value_parser = parse_asset)]
    assets: Vec<Asset>,
    /// Allow two sites: they can't tell a lost site from a cut link, so both must run, and the
    /// cluster stops when either is lost
    #[arg(long)]
    no_failover: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_profile(name: &str) -> Result<Profile, String> {
    Profile::from_name(name).ok_or_else(|| "the profiles are metro, region and world".to_owned())
}

fn parse_asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &NewClusterArgs) -> Result<(), Failure> {
    check(args)?;
    let cluster = ClusterId(uuid::Builder::from_random_bytes(random()?).into_uuid().into_bytes());
    let operator_key = admission::generate_key().map_err(no_randomness)?;
    let (authority, authority_key) = Authority::generate(cluster, &args.name)?;

    let mut making = PendingFiles::default();
    making.create_folder(&args.out)?;
    let ca = args.out.join("ca");
    making.create_folder(&ca)?;
    making.create_file(&ca.join(KEY_FILE), &authority_key)?;
    making.create_file(&ca.join(CERTIFICATE_FILE), &authority.certificate)?;
    for (site, node) in args.sites.iter().zip(1..) {
        let folder = args.out.join(&site.name);
        let tls = folder.join("tls");
        making.create_folder(&tls)?;
        let data = folder.join("data");
        making.create_folder(&data)?;
        // The first start may find the folder empty. Without it, it might be an unmounted disk.
        making.create_file(&data.join(FOUNDING), "")?;
        let identity = authority.issue(node, &site.name, &site.peer)?;
        cert::write(&mut making, &tls, &authority, &identity)?;
        let text = node_toml(args, cluster, node, site, &operator_key);
        making.create_file(&folder.join("node.toml"), &text)?;
    }
    making.create_file(&args.out.join("operator.key"), &format!("{operator_key}\n"))?;
    making.create_file(&args.out.join("client.toml"), &client_toml(args, cluster))?;
    making.commit()?;
    report(args, cluster)
}

fn check(args: &NewClusterArgs) -> Result<(), Failure> {
    if args.name.is_empty() || args.name.len() > 64 || args.name.chars().any(char::is_control) {
        return Err(Failure::usage("--name: 1 to 64 bytes without control characters"));
    }
    match args.sites.len() {
        2 if !args.no_failover => {
            return Err(Failure::usage(
                "two sites can't tell a lost site from a cut link, so neither could take over: add a third site (a small machine is enough), or use --no-failover",
            ));
        }
        sites if sites > MEMBERS_MAX => {
            return Err(Failure::usage(format!("{sites} sites; {MEMBERS_MAX} at most")));
        }
        _ => {}
    }
    let mut taken = BTreeMap::new();
    for site in &args.sites {
        for address in site.addresses() {
            if let Some(other) = taken.insert(address, &site.name) {
                return Err(Failure::usage(format!(
                    "{other} and {} both need {address}: each site uses its base port and the next two",
                    site.name
                )));
            }
        }
    }
    let names: BTreeSet<_> = args.sites.iter().map(|site| &site.name).collect();
    if names.len() < args.sites.len() {
        return Err(Failure::usage("two sites have the same name"));
    }
    let assets: BTreeSet<_> = args.assets.iter().collect();
    if assets.len() < args.assets.len() {
        return Err(Failure::usage("an asset is given twice"));
    }
    // Existing files may include the keys of a cluster with money in it.
    let mut paths = vec!["ca", "operator.key", "client.toml"];
    paths.extend(args.sites.iter().map(|site| site.name.as_str()));
    match paths.iter().map(|name| args.out.join(name)).find(|path| path.symlink_metadata().is_ok())
    {
        Some(path) => Err(Failure::usage(format!(
            "{} exists and is never overwritten: choose another --out, or move it away",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// The section `[limits]`: the defaults, written out.
const LIMITS: &str = "\
# What a key may send to this site. Requests are counted over HTTP; commands and bytes over both
# doors, 0 switches these two off. One largest batch may always be sent at once.
[limits]
requests_per_second = 5000
burst = 10000
commands_per_second = 200000
bytes_per_second = 67108864
operator_exempt = false      # the limits apply to operators' keys, too
# Connections of one address at each client port; by default half of its places. 0, no limit, if
# proxies bring all clients from one address.
# connections_per_address = 2048";

fn node_toml(
    args: &NewClusterArgs,
    cluster: ClusterId,
    node: u64,
    own: &Site,
    operator_key: &str,
) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let assets: Vec<String> = args.assets.iter().map(|asset| quoted(asset.name())).collect();
    let mut text = format!(
        r#"# One node of the cluster. Relative paths are relative to this file.
# EVENKEEL_<SECTION>_<KEY> in the environment overrides it; --set SECTION.KEY=VALUE overrides both.

[cluster]
id = "{cluster}"
name = {name}
profile = "{profile}"            # metro, region or world: the same on every node

[node]
id = {node}
site = "{site}"
data = "data"

[listen]
peer = "{peer}"      # UDP
client = "{client}"    # UDP
http = "{http}"      # TCP

[tls]
ca = "tls/{CERTIFICATE_FILE}"
cert = "tls/{node_certificate}"
key = "tls/{node_key}"

[admin]
socket = "admin.sock"

[log]
format = "readable"          # readable or json
filter = "info"

# TLS for the HTTP port. Without a certificate the port speaks plain HTTP, which requires a loopback
# address, or plain = true behind a proxy that terminates TLS.
[http]
{http_tls}

{LIMITS}

# Read once, at bootstrap; afterwards the journal's values apply. The same on every node.
[genesis]
assets = [{assets}]
wallet_max_balance = 2000000
id_horizon_s = 604800
id_tolerance_s = 300
time_zone = "Asia/Seoul"
operator_key = "{key_hash}"
"#,
        name = quoted(&args.name),
        profile = args.profile.name(),
        site = own.name,
        peer = Site::listen_address(&own.peer),
        client = Site::listen_address(&own.client),
        http = Site::listen_address(&own.http),
        http_tls = http_tls(own),
        node_certificate = cert::NODE_CERTIFICATE_FILE,
        node_key = cert::NODE_KEY_FILE,
        assets = assets.join(", "),
        key_hash = blake3::hash(operator_key.as_bytes()).to_hex(),
    );
    text.push_str(
        "\n# All nodes, including this one, at the addresses where this node reaches them.\n",
    );
    for (site, node) in args.sites.iter().zip(1..) {
        let Site { name, peer, client, .. } = site;
        write!(
            text,
            "[[members]]\nnode = {node}\nsite = \"{name}\"\npeer = \"{peer}\"\nclient = \"{client}\"\n\n"
        )
        .expect("writing to memory can't fail");
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

/// The node's own certificate also names its host: it's used until the site has a certificate that
/// browsers trust.
fn http_tls(own: &Site) -> String {
    let lines = format!(
        "cert = \"tls/{}\"\nkey = \"tls/{}\"",
        cert::NODE_CERTIFICATE_FILE,
        cert::NODE_KEY_FILE
    );
    if own.speaks_tls() {
        lines
    } else {
        lines.lines().map(|line| format!("# {line}\n")).collect::<String>().trim_end().to_owned()
    }
}

fn client_toml(args: &NewClusterArgs, cluster: ClusterId) -> String {
    let mut text = format!(
        "# How a client reaches the cluster. Relative paths are relative to this file.\ncluster = \"{cluster}\"\nca = \"ca/{CERTIFICATE_FILE}\"\nkey_file = \"operator.key\"\n"
    );
    for (site, node) in args.sites.iter().zip(1..) {
        let Site { name, client, http, .. } = site;
        let scheme = if site.speaks_tls() { "https://" } else { "" };
        write!(
            text,
            "\n[[sites]]\nname = \"{name}\"\nnode = {node}\nclient = \"{client}\"\nhttp = \"{scheme}{http}\"\n"
        )
        .expect("writing to memory can't fail");
    }
    text
}

fn report(args: &NewClusterArgs, cluster: ClusterId) -> Result<(), Failure> {
    let sites: Vec<_> = args
        .sites
        .iter()
        .zip(1_u64..)
        .map(|(site, node)| {
            json!({
                "site": site.name,
                "node": node,
                "config": args.out.join(&site.name).join("node.toml"),
                "peer": site.peer.to_string(),
                "client": site.client.to_string(),
                "http": site.http.to_string(),
            })
        })
        .collect();
    if args.json {
        return output::print_json(&json!({
            "cluster": cluster.to_string(),
            "name": args.name,
            "profile": args.profile.name(),
            "sites": sites,
            "operator_key": args.out.join("operator.key"),
            "client": args.out.join("client.toml"),
        }));
    }
    let out = args.out.display();
    let mut text = format!("cluster {cluster} ({}, {}) in {out}", args.name, args.profile.name());
    for site in &args.sites {
        write!(
            text,
            "\n  {}: copy {out}/{}/ there, then run evenkeel run --config node.toml",
            site.name, site.name
        )
        .expect("writing to memory can't fail");
    }
    output::print(&text)?;
    output::print_note(&format!(
        "keep {out}/ca/{KEY_FILE} and {out}/operator.key secret and off the sites"
    ));
    if args.sites.len() < 3 {
        output::print_note("with fewer than three sites there is no failover when one is lost");
    } else if args.sites.len().is_multiple_of(2) {
        output::print_note("an even number of sites tolerates no more losses than one site fewer");
    }
    Ok(())
}

fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn no_randomness(error: getrandom::Error) -> Failure {
    Failure::failed(format!("the system's random source failed: {error}"))
}
