//! Starts that must be refused: configuration, certificates, ports, sockets, folders. The data
//! folder stays unchanged.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};

use crate::{
    accept::{
        sheet::{ResultSheet, json_of, output_text},
        stage,
    },
    cluster::{site::Site, testnet::Testnet},
};

/// A refusal takes no longer than reading the journal.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);
const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// A refused start: its name, the configuration and its overrides, the exit code, and the texts
/// that the answer must contain.
struct RefusedStart {
    what: &'static str,
    config: PathBuf,
    set: Vec<(&'static str, String)>,
    exit: i32,
    words: Vec<String>,
}

/// Tries all of them at a site that is down while the others serve.
pub(crate) async fn check_refused_starts(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let scratch = create_scratch_folder(testnet)?;
    let before = read_chain_head(testnet, site).await?;
    let taken = UdpSocket::bind("127.0.0.1:0")?;
    let mut starts = bad_configuration(site, &scratch)?;
    starts.extend(bad_certificates(testnet, site, &scratch).await?);
    starts.extend(bad_locations(testnet, site, &scratch, &taken)?);
    for start in &starts {
        judge(testnet, start, sheet).await?;
    }
    let after = read_chain_head(testnet, site).await?;
    sheet.record_claim(
        format!("{} refused starts; {}'s journal is unchanged: {after}", starts.len(), site.name),
        before == after,
    );
    fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())
}

async fn judge(
    testnet: &Testnet,
    start: &RefusedStart,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let config = stage::path_text(&start.config)?.to_owned();
    let mut arguments = vec!["run".to_owned(), "--config".to_owned(), config];
    for (key, value) in &start.set {
        arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = stage::run_within(&testnet.evenkeel, &arguments, REFUSED_WITHIN).await?;
    // The last line is for people; the log holds it, too.
    let said = output_text(&output);
    let last = said.rsplit("; evenkeel: ").next().unwrap_or(&said).to_owned();
    let named = start.words.iter().all(|word| last.contains(word.as_str()));
    let code = output.status.code();
    sheet.record_claim(
        format!(
            "{}: exit {}: {last}",
            start.what,
            code.map_or("by a signal".into(), |c| c.to_string())
        ),
        code == Some(start.exit) && named,
    );
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn bad_configuration(site: &Site, scratch: &Path) -> anyhow::Result<Vec<RefusedStart>> {
    let good = fs::read_to_string(site.config())?;
    let (config, odd) = (site.config(), scratch.join("odd.toml"));
    let line = good.lines().position(|line| line == "[node]").context("no [node]")? + 2;
    fs::write(&odd, good.replace("[node]\n", "[node]\nsiet = \"x\"\n"))?;
    let start = |what, set: &[(&'static str, &str)], said: &[&str]| RefusedStart {
        what,
        config: config.clone(),
        set: set.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
        exit: USAGE,
        words: words(said),
    };
    let place = format!("odd.toml:{line}");
    Ok(vec![
        RefusedStart {
            config: odd,
            words: words(&[&place, "unknown key node.siet"]),
            ..start("an unknown key in node.toml", &[], &[])
        },
        start("an unknown key as a flag", &[("node.siet", "x")], &["unknown key node.siet"]),
        start("an invalid value", &[("node.id", "0")], &["node.id", "from 1"]),
        RefusedStart {
            config: scratch.join("nowhere.toml"),
            ..start("no node.toml", &[], &["nowhere.toml", "No such file"])
        },
    ])
}

/// The files of another cluster with the same sites.
async fn another_cluster(testnet: &Testnet, scratch: &Path) -> anyhow::Result<PathBuf> {
    let other = scratch.join("other");
    let mut arguments = vec!["cluster".to_owned(), "new".into(), "--out".into()];
    arguments.push(stage::path_text(&other)?.to_owned());
    for site in &testnet.sites {
        arguments.extend(["--site".to_owned(), site.argument()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let made = stage::run_evenkeel(testnet, &arguments).await?;
    ensure!(made.status.success(), "cluster new: {}", output_text(&made));
    Ok(other)
}

async fn bad_certificates(
    testnet: &Testnet,
    site: &Site,
    scratch: &Path,
) -> anyhow::Result<Vec<RefusedStart>> {
    let other = another_cluster(testnet, scratch).await?;
    let neighbour = testnet.sites.iter().find(|all| all.node != site.node).context("one site")?;
    let own = |name: &str| text(&site.folder().join("tls").join(name));
    let theirs = |name: &str| text(&neighbour.folder().join("tls").join(name));
    let foreign = |name: &str| text(&other.join(&site.name).join("tls").join(name));
    let open_key = scratch.join("open.key");
    fs::copy(own("node.key")?, &open_key)?;
    fs::set_permissions(&open_key, fs::Permissions::from_mode(0o644))?;
    let nowhere = text(&scratch.join("nowhere.pem"))?;
    let make_one = "evenkeel cluster new";
    let start = |what, set: Vec<(&'static str, String)>, said: &[&str]| RefusedStart {
        what,
        config: site.config(),
        set,
        exit: FAILED,
        words: words(said),
    };
    let pair = |cert, key| vec![("tls.cert", cert), ("tls.key", key)];
    let (cert, key) = (foreign("node.pem")?, foreign("node.key")?);
    let mut all_foreign = pair(cert.clone(), key.clone());
    all_foreign.push(("tls.ca", foreign("ca.pem")?));
    Ok(vec![
        start("no certificate", vec![("tls.cert", nowhere)], &["nowhere.pem: No such", make_one]),
        start(
            "a certificate without its key",
            pair(theirs("node.pem")?, own("node.key")?),
            &["not the key of", make_one],
        ),
        start(
            "another node's certificate",
            pair(theirs("node.pem")?, theirs("node.key")?),
            &["it's for", "not for", make_one],
        ),
        start("another authority's certificate", pair(cert, key), &["another authority signed it"]),
        start("another cluster's certificate and authority", all_foreign, &["it's for", "not for"]),
        start(
            "a key that others can read",
            vec![("tls.key", text(&open_key)?)],
            &["open.key", "mode 644", "make it 600"],
        ),
    ])
}

fn bad_locations(
    testnet: &Testnet,
    site: &Site,
    scratch: &Path,
    taken: &UdpSocket,
) -> anyhow::Result<Vec<RefusedStart>> {
    let running = testnet.sites.iter().find(|all| all.node != site.node).context("one site")?;
    let port = taken.local_addr()?.to_string();
    let data = text(&site.data())?;
    let long = scratch.join("x".repeat(120)).join("admin.sock");
    let start = |what, config: PathBuf, key, value: &str, said: &[&str]| RefusedStart {
        what,
        config,
        set: vec![(key, value.to_owned())],
        exit: FAILED,
        words: words(said),
    };
    let own = site.config();
    let foreign = scratch.join("other").join(&site.name).join("node.toml");
    let (in_use, whose) = (format!("udp {port} is in use"), "node.data");
    Ok(vec![
        start("the peer port in use", own.clone(), "listen.peer", &port, &[&in_use, "listen.peer"]),
        start(
            "the client port in use",
            own.clone(),
            "listen.client",
            &port,
            &[&in_use, "listen.client"],
        ),
        start(
            "a socket path that is too long",
            own.clone(),
            "admin.socket",
            &text(&long)?,
            &["admin socket", "107 at most", "admin.socket"],
        ),
        start(
            "another node's admin socket",
            own,
            "admin.socket",
            &text(&running.admin_socket())?,
            &["another process answers there"],
        ),
        start(
            "a data folder of another cluster",
            foreign,
            "node.data",
            &data,
            &["belongs to node", "not to node", whose],
        ),
        start(
            "a data folder of another node",
            running.config(),
            "node.data",
            &data,
            &["belongs to node", "not to node", whose],
        ),
        RefusedStart {
            set: Vec::new(),
            ..start(
                "a node that is already running",
                running.config(),
                whose,
                "",
                &["another process holds the lock", "running already?"],
            )
        },
    ])
}

fn text(path: &Path) -> anyhow::Result<String> {
    stage::path_text(path).map(str::to_owned)
}

/// In the run folder, so that it's wiped with it.
fn create_scratch_folder(testnet: &Testnet) -> anyhow::Result<PathBuf> {
    let folder = testnet.run_folder().join("input");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// The chain head of a stopped node's journal, verified from its start.
async fn read_chain_head(testnet: &Testnet, site: &Site) -> anyhow::Result<String> {
    let data = site.data();
    let output =
        stage::run_evenkeel(testnet, &["verify", "--json", stage::path_text(&data)?]).await?;
    let report = json_of(&output)?;
    Ok(report["head"].as_str().context("a journal without a head")?.to_owned())
}
