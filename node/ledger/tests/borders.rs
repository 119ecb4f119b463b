//! The borders of the crate, as a text search: its dependencies, its layers, its purity.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The layers, top to bottom: a module uses those below it and never one above or beside it.
const LAYERS: &[&[&str]] = &[
    &["queries"],
    &["ledger"],
    &["entry", "checkpoint"],
    &["rules"],
    &["tables"],
    &["containers"],
];

/// The checkpoint uses tables, not rules.
const CHECKPOINT_NEVER_USES: &str = "rules";

/// IO, time, threads and randomness.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::thread",
    "std::time",
    "rustix",
    "evenkeel_storage",
    "evenkeel_node",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Source files of a module, without tests.
fn files(module: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![source().join(module), source().join(format!("{module}.rs"))];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder can be read");
            pending.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") && path.is_file() {
            let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
            found.extend((!is_test).then_some(path));
        }
    }
    assert!(!found.is_empty(), "{module} has no files");
    found
}

/// The code of a file, without comments and without its tests at the end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file is UTF-8");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter_map(|line| line.split("//").next()).collect::<Vec<_>>().join("\n")
}

/// Whether code names a module of this crate, by a path or in a group of imports.
fn uses(code: &str, module: &str) -> bool {
    let in_group = |group: &str| {
        let group = group.split(';').next().unwrap_or_default();
        let path = format!("{module}::");
        group
            .split(|byte: char| byte == ',' || byte == '{' || byte.is_whitespace())
            .any(|name| name.starts_with(&path))
    };
    code.contains(&format!("crate::{module}::")) || code.split("crate::{").skip(1).any(in_group)
}

#[test]
fn modules_use_only_lower_layers() {
    for (height, layer) in LAYERS.iter().enumerate() {
        for module in *layer {
            let above = LAYERS[..height].iter().flat_map(|above| above.iter());
            let beside = layer.iter().filter(|other| other != &module);
            for file in files(module) {
                let code = code(&file);
                for other in above.clone().chain(beside.clone()) {
                    assert!(!uses(&code, other), "{} uses {other}", file.display());
                }
                let forbidden = *module == "checkpoint" && uses(&code, CHECKPOINT_NEVER_USES);
                assert!(!forbidden, "{} uses {CHECKPOINT_NEVER_USES}", file.display());
            }
        }
    }
}

#[test]
fn the_search_finds_uses() {
    let execute = code(&source().join("entry/execute.rs"));
    assert!(uses(&execute, "rules") && uses(&execute, "tables") && !uses(&execute, "checkpoint"));
    assert!(uses("use crate::rules::day;", "rules"));
    assert!(uses("use crate::{\n    fault::LedgerFault,\n    rules::{day},\n};", "rules"));
}

#[test]
fn the_ledger_is_pure() {
    for module in LAYERS.iter().flat_map(|layer| layer.iter()).chain(&["fault", "journal"]) {
        for file in files(module) {
            let code = code(&file);
            for word in IMPURE {
                assert!(!code.contains(word), "{}: {word}", file.display());
            }
            let may_be_unsafe = file.ends_with("containers/prefetch.rs");
            assert!(may_be_unsafe || !code.contains("unsafe"), "{}: unsafe", file.display());
        }
    }
}

#[test]
fn it_depends_on_wire_and_blake3_alone() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("the manifest is UTF-8");
    let dependencies = manifest.split("[dependencies]").nth(1).expect("a section");
    let dependencies = dependencies.split('[').next().unwrap_or_default();
    let names: Vec<_> = dependencies
        .lines()
        .filter_map(|line| line.split_once('.'))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["evenkeel-wire", "blake3"]);
}
