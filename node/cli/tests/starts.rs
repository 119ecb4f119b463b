//! Refused starts: exit code 1, and a last line with the problem and the remedy.
//!
//! Background: a client port in use, or an admin socket that couldn't be bound, used to end in a
//! panic of the runtime (exit code 101), because the doors' runtime was dropped on the thread that
//! drives the node's runtime.

mod support;

use std::{fs, net::UdpSocket};

use support::{Files, evenkeel, finish};

/// Starts the first site with these settings over its file; returns the exit code and the last
/// line.
fn start(files: &Files, settings: &[(&str, &str)]) -> (i32, String) {
    let mut command = evenkeel();
    command.arg("run").arg("--config").arg(files.node_toml());
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    let (code, _, error) = finish(command.output().expect("the program starts"));
    (code, error.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn a_start_that_is_refused_says_why_and_what_to_do() {
    let (files, other) = (Files::new(), Files::new());
    let [peer, client, taken] = [0; 3].map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let address = |socket: &UdpSocket| socket.local_addr().expect("bound").to_string();
    let (free_peer, free_client, taken) = (address(&peer), address(&client), address(&taken));
    // These ports are free now, and unlikely to be taken by another process soon.
    drop((peer, client));
    let long = files.folder.path().join("x".repeat(120)).join("admin.sock");
    let foreign = other.site("pangyo").join("tls");
    let [cert, key] = ["node.pem", "node.key"].map(|name| foreign.join(name));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let ports = [("listen.peer", free_peer.as_str()), ("listen.client", free_client.as_str())];
    for (settings, words) in [
        (vec![("listen.peer", taken.as_str())], vec!["udp", "in use", "listen.peer"]),
        (vec![ports[0], ("listen.client", &taken)], vec!["udp", "in use", "listen.client"]),
        (
            vec![ports[0], ports[1], ("admin.socket", &text(&long))],
            vec!["admin socket", "107 at most", "set admin.socket"],
        ),
        (vec![("tls.cert", "/nowhere.pem")], vec!["/nowhere.pem", "No such file", "cluster cert"]),
        (
            vec![("tls.cert", &text(&cert)), ("tls.key", &text(&key))],
            vec!["another authority signed it", "cluster cert"],
        ),
    ] {
        let (code, said) = start(&files, &settings);
        assert_eq!(code, 1, "{settings:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{settings:?}: {said:?} should say {word:?}");
        }
    }

    // An empty folder, as an unmounted disk leaves it, and none at all. Nothing is written there.
    let mount_point = files.folder.path().join("mount");
    for exists in [false, true] {
        if exists {
            fs::create_dir(&mount_point).expect("made");
        }
        let (code, said) = start(&files, &[("node.data", &text(&mount_point))]);
        assert_eq!(code, 1, "{said}");
        for word in ["no superblock", "mount it", "the empty file joining", "Lost disk"] {
            assert!(said.contains(word), "{said:?} should say {word:?}");
        }
        let found = fs::read_dir(&mount_point).map_or(0, Iterator::count);
        assert_eq!((mount_point.exists(), found), (exists, 0));
    }

    // A folder that belongs to another cluster.
    let data = text(&files.site("pangyo").join("data"));
    let (code, said) = start(&other, &[("node.data", &data)]);
    assert_eq!(code, 1);
    assert!(said.contains("belongs to node 1 of cluster") && said.contains("node.data"), "{said}");
    assert!(fs::exists(files.site("pangyo").join("data/superblock")).expect("readable"));
}

#[test]
fn a_start_with_too_few_descriptors_is_refused_and_more_are_claimed_where_allowed() {
    use std::process::Command;

    let files = Files::new();
    let run = |limits: &str| {
        let script = format!(
            "{limits} && exec {} run --config {} --set node.data=/nowhere",
            env!("CARGO_BIN_EXE_evenkeel"),
            files.node_toml().display()
        );
        finish(Command::new("sh").args(["-c", &script]).output().expect("a shell"))
    };
    let (code, _, said) = run("ulimit -n 150");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("may open 150 files, and a node needs 192"), "{said}");
    let (_, _, said) = run("ulimit -n 300");
    assert!(said.contains("fewer HTTP connections than usual"), "{said}");
    let (_, _, said) = run("ulimit -Sn 250");
    assert!(said.contains("before=250") && !said.contains("fewer HTTP"), "{said}");
}
