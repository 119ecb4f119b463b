//! `cluster new` and `cluster cert`: a node can load the files they write, and only the owner can
//! read them.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use evenkeel_node::config::{Config, Overrides};
use evenkeel_wire::identity::Identity;
use support::{Files, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn modes(folder: &Path, found: &mut Vec<(String, u32)>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let mode = path.metadata().expect("there").permissions().mode() & 0o777;
        found.push((path.display().to_string(), mode));
        if path.is_dir() {
            modes(&path, found);
        }
    }
}

#[test]
fn nobody_else_can_read_anything() {
    let files = Files::new();
    let mut found = Vec::new();
    modes(&files.out(), &mut found);
    assert!(found.len() > 20, "{found:?}");
    for (path, mode) in found {
        let expected = if Path::new(&path).is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{path}: {mode:o}");
    }
}

#[test]
fn every_nodes_certificate_names_cluster_and_node_and_is_taken() {
    let files = Files::new();
    for (site, node) in [("pangyo", 1), ("sangam", 2), ("busan", 3)] {
        let toml = files.site(site).join("node.toml");
        let config = Config::load(&toml, &Overrides::default()).expect("it loads");
        let identity = Identity::load_node(&config.tls.ca, &config.tls.cert, &config.tls.key)
            .expect("a node accepts it");
        assert_eq!(identity.cluster(), config.cluster);
        assert_eq!(identity.node(), node);
    }
}

/// Without the marker a node refuses an empty folder: it could be an unmounted disk.
#[test]
fn every_sites_data_folder_holds_the_marker_of_a_new_cluster_and_nothing_else() {
    let files = Files::new();
    for site in ["pangyo", "sangam", "busan"] {
        let held = fs::read_dir(files.site(site).join("data")).expect("made");
        let names: Vec<_> = held.map(|entry| entry.expect("readable").file_name()).collect();
        assert_eq!(names, ["founding"], "{site}");
    }
}

#[test]
fn a_certificate_for_a_joining_node_comes_from_the_same_authority() {
    let files = Files::new();
    let out = files.folder.path().join("daegu");
    let ca = files.out().join("ca");
    let arguments =
        ["cluster", "cert", "--ca", text(&ca), "--site", "daegu=daegu.example:7400", "--node", "4"];
    let (code, _, error) = run(&[&arguments[..], &["--out", text(&out)]].concat());
    assert_eq!(code, 0, "{error}");
    let identity = Identity::load_node(
        &files.site("pangyo").join("tls/ca.pem"),
        &out.join("node.pem"),
        &out.join("node.key"),
    )
    .expect("the cluster's authority signed it");
    assert_eq!(identity.node(), 4);

    let (code, _, error) = run(&[&arguments[..], &["--out", text(&out)]].concat());
    assert_eq!(code, 1, "a key is never overwritten: {error}");
    let other = Files::new();
    fs::copy(other.out().join("ca/ca.key"), ca.join("ca.key")).expect("copied");
    let elsewhere = files.folder.path().join("elsewhere");
    let (code, _, error) = run(&[&arguments[..], &["--out", text(&elsewhere)]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("ca.key isn't the key of ca.pem"), "{error}");
    assert!(!elsewhere.exists());
}

#[test]
fn what_is_there_is_never_overwritten() {
    let files = Files::new();
    let out = files.out();
    let key = fs::read(out.join("operator.key")).expect("readable");
    let (code, _, error) =
        run(&["cluster", "new", "--out", text(&out), "--site", "daegu=127.0.0.1:7400"]);
    assert_eq!(code, 2);
    assert!(error.contains("exists and is never overwritten"), "{error}");
    assert!(!out.join("daegu").exists());
    assert_eq!(fs::read(out.join("operator.key")).expect("readable"), key);
}

#[test]
fn sites_that_cannot_work_are_refused_as_wrong_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cluster");
    let cases: &[(&[&str], &str)] = &[
        (
            &["--site", "a=h:7100", "--site", "b=h:7200"],
            "two sites can't tell a lost site from a cut",
        ),
        (&["--site", "a=h:7100", "--site", "b=h:7102", "--site", "c=h:7200"], "both need h:7102"),
        (&["--site", "a=h:7100", "--site", "a=h:7200", "--site", "c=h:7300"], "the same name"),
        (&["--site", "a=h:65534"], "port 65534 is too high"),
        (&["--site", "A=h:7100"], "lowercase letters"),
        (&["--site", "a"], "NAME=HOST:PORT"),
        (&[], "--site"),
        (&["--site", "a=h:7100", "--profile", "mars"], "metro, region and world"),
        (&["--site", "a=h:7100", "--asset", "won"], "capital letters"),
    ];
    for (arguments, expected) in cases {
        let (code, _, error) =
            run(&[&["cluster", "new", "--out", text(&out)], *arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(!out.exists(), "{arguments:?} left files behind");
    }
    let two = ["cluster", "new", "--out", text(&out), "--site", "a=h:7100", "--site", "b=h:7200"];
    let (code, _, error) = run(&[&two[..], &["--no-failover", "--json"]].concat());
    assert_eq!(code, 0, "{error}");
}

#[test]
fn a_site_that_is_reached_over_a_network_speaks_tls_on_its_http_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cluster");
    let (code, _, error) = run(&[
        "cluster",
        "new",
        "--out",
        text(&out),
        "--site",
        "pangyo=pangyo.example:7100",
        "--site",
        "sangam=127.0.0.1:7200",
        "--site",
        "busan=busan.example:7300",
    ]);
    assert_eq!(code, 0, "{error}");
    let load = |site: &str| {
        let toml = out.join(site).join("node.toml");
        Config::load(&toml, &Overrides::default()).expect("it loads")
    };
    let tls = load("pangyo").http_tls.expect("beyond loopback");
    assert_eq!(
        (tls.cert, tls.key),
        (out.join("pangyo/tls/node.pem"), out.join("pangyo/tls/node.key"))
    );
    assert_eq!(load("sangam").http_tls, None);
    let client = fs::read_to_string(out.join("client.toml")).expect("readable");
    assert!(client.contains("http = \"https://pangyo.example:7102\""), "{client}");
    assert!(client.contains("http = \"127.0.0.1:7202\""), "{client}");
}
