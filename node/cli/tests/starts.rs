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

    // A folder that belongs to another cluster.
    let data = text(&files.site("pangyo").join("data"));
    let (code, said) = start(&other, &[("node.data", &data)]);
    assert_eq!(code, 1);
    assert!(said.contains("belongs to node 1 of cluster") && said.contains("node.data"), "{said}");
    assert!(fs::exists(files.site("pangyo").join("data/superblock")).expect("readable"));
}
