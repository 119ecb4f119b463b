//! Folders that can be taken in at a glance.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    assert_tidy,
    sources::{self, Source},
};

/// `x.rs` and `x/` are one entry; `mod`, `lib`, `main` and tests aren't counted.
const ENTRIES_MAX: usize = 15;

#[test]
fn no_folder_below_src_is_crowded() {
    assert_tidy(&crowded(&sources::all()));
}

fn crowded(sources: &[Source]) -> Vec<String> {
    let mut folders: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        let Some((root, below)) = source.place() else { continue };
        let parts: Vec<&str> = below.trim_end_matches(".rs").split('/').collect();
        for (depth, part) in parts.iter().enumerate() {
            if matches!(*part, "mod" | "lib" | "main") && depth + 1 == parts.len() {
                continue;
            }
            let folder = format!("{root}/src/{}", parts[..depth].join("/"));
            folders.entry(folder).or_default().insert(part);
        }
    }
    folders
        .iter()
        .filter(|(_, entries)| entries.len() > ENTRIES_MAX)
        .map(|(folder, entries)| {
            format!("{folder} has {} entries, {ENTRIES_MAX} at most: shelve it", entries.len())
        })
        .collect()
}

#[test]
fn a_crowded_folder_is_named() {
    let mut sources: Vec<Source> =
        (0..15).map(|i| Source::new(&format!("node/src/road/f{i}.rs"), "")).collect();
    sources.push(Source::new("node/src/road/mod.rs", ""));
    sources.push(Source::new("node/src/road/f3/inner.rs", ""));
    sources.push(Source::new("node/src/road/tests.rs", ""));
    assert!(crowded(&sources).is_empty());
    sources.push(Source::new("node/src/road/one_more.rs", ""));
    assert_eq!(crowded(&sources), ["node/src/road has 16 entries, 15 at most: shelve it"]);
}
