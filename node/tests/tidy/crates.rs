//! Borders that a compiler keeps: which crate may depend on which. `deny.toml` says the same of
//! libraries.

use std::process::Command;

use serde_json::Value;

use crate::{assert_tidy, sources};

/// A package, and the only crates of the workspace that may name it. Tests may name more.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("openraft", &["evenkeel-node"]),
    ("openraft-rt", &["evenkeel-node"]),
    ("sled", &["evenkeel-storage"]),
    // A stranger in an acceptance row keeps to none of wire's rules.
    ("quinn", &["evenkeel-wire", "evenkeel-testnet"]),
    ("bincode", &["evenkeel-wire"]),
    ("prometheus", &["evenkeel-node"]),
    ("axum", &["evenkeel-node"]),
    ("utoipa", &["evenkeel-node"]),
    ("clap", &["evenkeel", "evenkeel-testnet"]),
    ("rcgen", &["evenkeel"]),
    ("hdrhistogram", &["evenkeel"]),
    ("anyhow", &["evenkeel-testnet"]),
];

/// A crate of the workspace, and all that it may depend on, where that is worth keeping.
const WHOLE: &[(&str, &[&str])] =
    &[("evenkeel-ledger", &["blake3", "evenkeel-wire"]), ("evenkeel-oracle", &["evenkeel-wire"])];

/// A crate of the workspace, and the ones that it must never know.
const STRANGERS: &[(&str, &[&str])] = &[
    ("evenkeel-wire", &["evenkeel-storage", "evenkeel-ledger", "evenkeel-node"]),
    ("evenkeel-storage", &["evenkeel-wire", "evenkeel-ledger", "evenkeel-node", "tokio"]),
    ("evenkeel-node", &["evenkeel", "evenkeel-testnet"]),
    ("evenkeel", &["evenkeel-testnet"]),
];

#[test]
fn crates_depend_on_what_they_may() {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(sources::root())
        .output()
        .expect("cargo starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata = serde_json::from_slice(&out.stdout).expect("JSON");
    let dependencies = dependencies(&metadata);
    assert!(dependencies.len() > 50, "only {} dependencies were found", dependencies.len());
    assert_tidy(&trespasses(&dependencies));
}

/// Package and dependency, those of tests left out.
fn dependencies(metadata: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        for dependency in list(&package["dependencies"]) {
            if dependency["kind"] != "dev" {
                found.push((text(&package["name"]), text(&dependency["name"])));
            }
        }
    }
    found
}

fn trespasses(dependencies: &[(String, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (package, dependency) in dependencies {
        let listed = |table: &[(&str, &[&str])], key: &str, value: &str| {
            table.iter().find(|row| row.0 == key).map(|row| row.1.contains(&value))
        };
        let wrapped = listed(WRAPPERS, dependency, package) == Some(false);
        let beyond = listed(WHOLE, package, dependency) == Some(false);
        let strangers = listed(STRANGERS, package, dependency) == Some(true);
        if wrapped || beyond || strangers {
            complaints.push(format!("{package} must not depend on {dependency}"));
        }
    }
    complaints
}

#[test]
fn a_dependency_across_a_border_is_named() {
    let metadata = serde_json::json!({"packages": [
        {"name": "evenkeel-node", "dependencies": [
            {"name": "openraft", "kind": null}, {"name": "rcgen", "kind": "dev"},
            {"name": "quinn", "kind": null}, {"name": "evenkeel-testnet", "kind": null},
        ]},
        {"name": "evenkeel-ledger", "dependencies": [{"name": "serde", "kind": null}]},
    ]});
    assert_eq!(
        trespasses(&dependencies(&metadata)),
        [
            "evenkeel-node must not depend on quinn",
            "evenkeel-node must not depend on evenkeel-testnet",
            "evenkeel-ledger must not depend on serde",
        ]
    );
}
