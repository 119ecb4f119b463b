//! The verbs on real processes: starting, finding again, signalling, after crashes, and next to
//! foreign processes.
//!
//! The node's program is a stand-in, this test binary itself: it makes the files of `cluster new`,
//! binds the ports and answers the admin socket; it orders nothing. `scripts/accept` tests real
//! nodes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use tempfile::TempDir;
use toml::{Table, Value};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("cluster") => stand_in::found(&arguments),
        Some("run") => stand_in::serve(Path::new(&arguments[2])),
        // `cargo test` passes --list and filters, which a sequential test can't support.
        Some("--list") => {}
        _ => story(),
    }
}

fn story() {
    let world = World::new();
    up_again_and_down(&world);
    each_verb(&world);
    after_crashes(&world);
    strangers(&world);
    world.does(&["down"]);
    evenkeel_testnet::output::print_line("the processes' story: ok");
}

fn up_again_and_down(world: &World) {
    let said = world.does(&["up"]);
    assert!(said.contains("pangyo") && said.contains("admin.sock"), "{said}");
    let pids = world.pids();
    world.does(&["up"]);
    assert_eq!(world.pids(), pids, "a second `up` doesn't restart running nodes");
    let config = fs::read_to_string(world.run().join("sangam/node.toml")).unwrap();
    assert!(config.contains("POINT"), "{config}");
    let relayed = format!("127.0.0.1:{}", world.port + 12);
    assert!(config.contains(&relayed), "sangam reaches pangyo at {relayed}: {config}");

    let refused = world.fails(&["up", "--direct"], 1);
    assert!(refused.contains("down"), "{refused}");
    world.does(&["down"]);
    assert!(pids.iter().all(|pid| !is_running(*pid)));
    world.does(&["up", "--direct"]);
    let refused = world.fails(&["cut", "busan"], 1);
    assert!(refused.contains("--direct"), "{refused}");
    world.fails(&["link", "--rtt", "5"], 1);
    world.does(&["down"]);
    world.does(&["up"]);
}

fn each_verb(world: &World) {
    world.does(&["kill", "sangam"]);
    assert!(world.does(&["status"]).contains("down"));
    world.fails(&["kill", "sangam"], 1);
    world.does(&["start", "sangam"]);
    assert!(!world.does(&["status"]).contains("down"));
    world.does(&["start", "sangam"]);
    world.does(&["pause", "sangam"]);
    assert!(world.does(&["status"]).contains("paused"));
    world.does(&["resume", "sangam"]);
    assert!(!world.does(&["status"]).contains("paused"));
    world.does(&["pause", "sangam"]);
    world.does(&["stop", "sangam"]);
    world.does(&["start", "sangam"]);

    world.does(&["cut", "busan", "--in"]);
    assert!(world.does(&["status"]).contains("busan is cut in"));
    world.does(&["cut", "busan"]);
    world.does(&["heal", "busan", "--in"]);
    assert!(world.does(&["status"]).contains("busan is cut out"));
    world.does(&["heal", "busan"]);
    world.does(&["link", "--rtt", "10", "--loss", "0.5", "--jitter", "2"]);
    assert!(world.does(&["status"]).contains("rtt 10 ms, jitter 2 ms, loss 5000 ppm"));
    world.fails(&["link", "--rtt", "10", "--loss", "101"], 2);
    world.fails(&["kill", "seoul"], 2);
    world.fails(&["accept", "main.z"], 2);
}

fn after_crashes(world: &World) {
    // Everything dies at once, including the relay.
    let relay = fs::read_to_string(world.run().join("relay/pid")).unwrap();
    let all = world.pids().into_iter().chain([relay.trim().parse().unwrap()]);
    all.for_each(end);
    world.does(&["up"]);
    assert!(world.does(&["status"]).contains("links: rtt 0 ms"), "a new relay has no cuts");

    // A verb died after starting a node and before writing its pid file.
    let pids = world.pids();
    fs::remove_file(world.run().join("busan/pid")).unwrap();
    assert!(world.does(&["status"]).contains(&pids[2].to_string()));
    world.does(&["stop", "busan"]);
    assert!(!is_running(pids[2]));
    world.does(&["up"]);

    // `up` died while it made the files: they are made anew.
    let before = fs::read_to_string(world.run().join("client.toml")).unwrap();
    fs::remove_file(world.run().join("testnet.json")).unwrap();
    world.fails(&["status"], 1);
    world.does(&["up"]);
    assert_ne!(fs::read_to_string(world.run().join("client.toml")).unwrap(), before);
}

fn strangers(world: &World) {
    // The pid in a stale pid file now belongs to another process.
    world.does(&["stop", "busan"]);
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(world.run().join("busan/pid"), stranger.id().to_string()).unwrap();
    world.fails(&["kill", "busan"], 1);
    assert!(stranger.try_wait().unwrap().is_none(), "the foreign process was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    let taken = UdpSocket::bind(("127.0.0.1", world.port + 201)).unwrap();
    let refused = world.fails(&["start", "busan"], 1);
    let named = [format!("127.0.0.1:{}", world.port + 201), std::process::id().to_string()];
    assert!(named.iter().all(|name| refused.contains(name)), "{refused}");
    drop(taken);
    world.does(&["start", "busan"]);
}

struct World {
    root: TempDir,
    port: u16,
}

impl World {
    /// Sites on other ports than the testnet's, in their own folder.
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let port = 20_000 + u16::try_from(std::process::id() % 30).unwrap() * 400;
        let sites = root.path().join("testnet/sites");
        fs::create_dir_all(&sites).unwrap();
        for (name, node) in [("pangyo", 1), ("sangam", 2), ("busan", 3)] {
            let text =
                format!("name = \"{name}\"\nnode = {node}\nport = {}\n", port + (node - 1) * 100);
            fs::write(sites.join(format!("{name}.toml")), text).unwrap();
        }
        Self { root, port }
    }

    fn run(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap().join("testnet/run")
    }

    fn pids(&self) -> Vec<i32> {
        let pid = |site| fs::read_to_string(self.run().join(site).join("pid")).unwrap();
        ["pangyo", "sangam", "busan"].map(|site| pid(site).trim().parse().unwrap()).to_vec()
    }

    fn verb(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_testnet"))
            .args(arguments)
            .arg("--root")
            .arg(self.root.path())
            .arg("--evenkeel")
            .arg(env::current_exe().unwrap())
            .output()
            .unwrap()
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = self.verb(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        said
    }

    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.verb(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for World {
    /// A failed test leaves no process running either.
    fn drop(&mut self) {
        let _ = self.verb(&["down"]);
    }
}

fn is_running(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The node's program, as far as the verbs use it.
mod stand_in {
    use super::*;

    /// `cluster new --name … --out DIR --site NAME=HOST:PORT …`
    pub(crate) fn found(arguments: &[String]) {
        let after = |flag: &str| {
            let places = arguments.windows(2).filter(move |pair| pair[0] == flag);
            places.map(|pair| pair[1].clone()).collect::<Vec<_>>()
        };
        let out = PathBuf::from(&after("--out")[0]);
        let sites = after("--site");
        let address = |site: &str, above: u16| {
            let (host, port) = site.split_once('=').unwrap().1.split_once(':').unwrap();
            format!("{host}:{}", port.parse::<u16>().unwrap() + above)
        };
        let members = sites.iter().zip(1_i64..).map(|(site, node)| {
            let mut member = Table::new();
            member.insert("node".into(), node.into());
            member.insert("peer".into(), address(site, 0).into());
            Value::Table(member)
        });
        let members = Value::Array(members.collect());
        for (site, node) in sites.iter().zip(1_u64..) {
            let name = site.split_once('=').unwrap().0;
            let text = format!(
                "[node]\nid = {node}\nsite = \"{name}\"\n[listen]\npeer = \"{}\"\nclient = \"{}\"\nhttp = \"{}\"\n[genesis]\nassets = [\"KRW\"]\n[limits]\n",
                address(site, 0),
                address(site, 1),
                address(site, 2)
            );
            let mut table: Table = text.parse().unwrap();
            table.insert("members".into(), members.clone());
            fs::create_dir_all(out.join(name).join("data")).unwrap();
            fs::write(out.join(name).join("node.toml"), table.to_string()).unwrap();
        }
        let cluster = std::process::id();
        fs::write(out.join("client.toml"), format!("cluster = \"{cluster}\"\n")).unwrap();
    }

    /// `run --config FILE`: node 1 is primary, and all are caught up.
    pub(crate) fn serve(config: &Path) {
        let table: Table = fs::read_to_string(config).unwrap().parse().unwrap();
        let text = |name: &str| table["listen"][name].as_str().unwrap().to_owned();
        let ports =
            (UdpSocket::bind(text("peer")).unwrap(), UdpSocket::bind(text("client")).unwrap());
        let http = TcpListener::bind(text("http")).unwrap();
        let (node, site) = (&table["node"]["id"], &table["node"]["site"]);
        let role = if node.as_integer() == Some(1) { "primary" } else { "follower" };
        let body = format!(
            r#"{{"cluster":"c","node":{node},"site":{site},"role":"{role}","term":1,"primary":{{"node":1,"site":"pangyo"}},"committed":7,"applied":7,"flushed":7,"chain_head":"ab","digests":[],"peers":[],"ready":true,"version":"0","uptime_s":1}}"#
        );
        let socket = config.with_file_name("admin.sock");
        let _ = fs::remove_file(&socket);
        for stream in UnixListener::bind(socket).unwrap().incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut request = [0; 1_024];
            let _ = stream.read(&mut request);
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
            let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
        }
        drop((ports, http));
    }
}
