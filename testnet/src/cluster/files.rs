//! The testnet's files: made by `evenkeel cluster new`, then changed to use the relay's ports.

use std::{fs, io, net::SocketAddr, os::unix::fs::DirBuilderExt, path::Path, process::Command};

use anyhow::{Context, bail};
use toml::{Table, Value};

use super::{
    site::Site,
    testnet::{SetupMarker, Testnet},
};

const ASSETS: [&str; 2] = ["KRW", "POINT"];
const HEAD: &str = "# Made by `evenkeel cluster new` and changed by `scripts/testnet.sh up`: the assets, the\n\
                    # operator's rate limit, and the members' peer addresses (the relay's unless up with --direct).\n\n";

/// Makes all files anew and deletes the old ones.
///
/// # Errors
/// When a file can't be written or `cluster new` fails; the next call makes all files anew.
pub fn make(testnet: &Testnet, direct: bool) -> anyhow::Result<()> {
    wipe(testnet)?;
    let run = testnet.run_folder();
    let mut command = Command::new(&testnet.evenkeel);
    command.args(["cluster", "new", "--name", "testnet", "--out"]).arg(&run);
    for site in &testnet.sites {
        command.args(["--site", &site.argument()]);
    }
    let output = command.output().with_context(|| testnet.evenkeel.display().to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`evenkeel cluster new` failed ({}): {}", output.status, said.trim());
    }
    for site in &testnet.sites {
        change(&site.config(), |table| {
            name_assets(table)?;
            exempt_operator(table)
        })?;
    }
    fs::DirBuilder::new().mode(0o700).create(testnet.relay_folder())?;
    set_peer_addresses(testnet, direct)
}

/// Removes all files.
///
/// # Errors
/// When a file can't be removed.
pub fn wipe(testnet: &Testnet) -> anyhow::Result<()> {
    let run = testnet.run_folder();
    match fs::remove_dir_all(&run) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| run.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Sets the peer addresses of every node's members to the relay's ports, or to the sites' own. Only
/// while no node runs.
///
/// # Errors
/// When a file can't be changed.
pub fn set_peer_addresses(testnet: &Testnet, direct: bool) -> anyhow::Result<()> {
    for own in &testnet.sites {
        change(&own.config(), |table| {
            for member in members(table)? {
                let node = member.get("node").and_then(Value::as_integer).context("no node")?;
                let site = testnet.sites.iter().find(|site| i64::try_from(site.node) == Ok(node));
                let address =
                    member_address(own, site.context("a member that isn't a site")?, direct);
                member.insert("peer".into(), Value::String(address.to_string()));
            }
            Ok(())
        })?;
    }
    Ok(testnet.write_setup_marker(SetupMarker { direct })?)
}

fn member_address(own: &Site, site: &Site, direct: bool) -> SocketAddr {
    if direct || own.node == site.node {
        site.peer_address()
    } else {
        site.relayed_address(own.node)
    }
}

fn members(table: &mut Table) -> anyhow::Result<impl Iterator<Item = &mut Table>> {
    let members = table.get_mut("members").and_then(Value::as_array_mut).context("no members")?;
    Ok(members.iter_mut().filter_map(Value::as_table_mut))
}

fn name_assets(table: &mut Table) -> anyhow::Result<()> {
    let genesis = table.get_mut("genesis").and_then(Value::as_table_mut).context("no genesis")?;
    let assets = ASSETS.iter().map(|asset| Value::String((*asset).to_owned())).collect();
    genesis.insert("assets".into(), Value::Array(assets));
    Ok(())
}

/// The operator's key isn't rate-limited, so that tests can send any load.
fn exempt_operator(table: &mut Table) -> anyhow::Result<()> {
    let limits = table.get_mut("limits").and_then(Value::as_table_mut).context("no limits")?;
    limits.insert("operator_exempt".into(), Value::Boolean(true));
    Ok(())
}

fn change(path: &Path, how: impl FnOnce(&mut Table) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let name = || path.display().to_string();
    let mut table: Table =
        fs::read_to_string(path).with_context(name)?.parse().with_context(name)?;
    how(&mut table).with_context(name)?;
    let new = path.with_extension("new");
    fs::write(&new, format!("{HEAD}{table}")).with_context(name)?;
    let mode = fs::metadata(path).with_context(name)?.permissions();
    fs::set_permissions(&new, mode).with_context(name)?;
    fs::rename(&new, path).with_context(name)
}
