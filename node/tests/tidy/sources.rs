//! The workspace's sources, read once and parsed.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders that hold a crate's `src/`, from the workspace's root.
pub(crate) const CRATES: [&str; 8] = [
    "wire",
    "storage",
    "node/ledger",
    "node",
    "node/http_client",
    "node/cli",
    "testnet",
    "testnet/oracle",
];

/// One Rust file.
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The parsed file.
    pub(crate) fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// The folder of its crate, and its path below that crate's `src/`; `None` for tests and
    /// examples.
    pub(crate) fn place(&self) -> Option<(&str, &str)> {
        let (root, below) = self.path.split_once("/src/")?;
        let is_test = below.split('/').any(|part| part == "tests" || part == "tests.rs");
        (!is_test).then_some((root, below))
    }

    /// The path of its module in its crate.
    pub(crate) fn module(&self) -> Option<Vec<&str>> {
        let (_, below) = self.place()?;
        let mut parts: Vec<&str> = below.strip_suffix(".rs")?.split('/').collect();
        if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
            parts.pop();
        }
        Some(parts)
    }
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root").to_owned()
}

/// Every Rust file of the workspace.
pub(crate) fn all() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for folder in ["wire", "storage", "node", "testnet"] {
        read_folder(&root, &root.join(folder), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 400, "only {} files were found", sources.len());
    sources
}

fn read_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("testnet/run") {
                read_folder(root, &path, sources);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).expect("below the root").display().to_string();
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            sources.push(Source { path: name, text });
        }
    }
}
