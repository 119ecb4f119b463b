//! Layers: the folders directly below a crate's `src/` depend on each other in one direction.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Attribute, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

use crate::{
    assert_tidy,
    sources::{self, CRATES, Source},
};

/// Which folder names which others.
type Dependencies = BTreeMap<String, BTreeSet<String>>;

#[test]
fn top_folders_depend_on_each_other_in_one_direction() {
    let sources = sources::all();
    let mut seen = 0;
    for root in CRATES {
        let found = dependencies(&sources, root);
        seen += found.values().map(BTreeSet::len).sum::<usize>();
        assert_tidy(&circles(root, &found));
    }
    assert!(seen > 60, "only {seen} dependencies were found");
}

fn dependencies(sources: &[Source], root: &str) -> Dependencies {
    let of_crate = || sources.iter().filter(|source| in_crate(source, root));
    let tops: BTreeSet<String> = of_crate()
        .filter_map(|source| source.module()?.first().map(|top| (*top).to_owned()))
        .collect();
    // What the crate's root re-exports: `pub use vocabulary::{account, …}`.
    let mut aliases = BTreeMap::new();
    for source in of_crate().filter(|source| source.path == format!("{root}/src/lib.rs")) {
        let mut paths = Paths::default();
        paths.visit_file(&source.syntax());
        for path in paths.found {
            if let [top, .., last] = path.as_slice()
                && tops.contains(top)
            {
                aliases.insert(last.clone(), top.clone());
            }
        }
    }
    let mut found = Dependencies::new();
    for source in of_crate() {
        let module = source.module().expect("of a crate");
        let Some(own) = module.first() else { continue };
        let mut paths = Paths::default();
        paths.visit_file(&source.syntax());
        for path in paths.found {
            let Some(first) = first_of(&module, &path) else { continue };
            let top = if tops.contains(&first) { Some(&first) } else { aliases.get(&first) };
            if let Some(top) = top.filter(|top| top != own) {
                found.entry((*own).to_owned()).or_default().insert(top.clone());
            }
        }
    }
    found
}

fn in_crate(source: &Source, root: &str) -> bool {
    source.place().is_some_and(|(of, _)| of == root)
}

/// The first segment below the crate's root of a path that begins with `crate` or `super`.
fn first_of(module: &[&str], path: &[String]) -> Option<String> {
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    if path.first().is_some_and(|segment| segment == "crate") {
        path.get(1).cloned()
    } else if ups > 0 && module.len() == ups {
        path.get(ups).cloned()
    } else {
        None
    }
}

/// Every folder from which a walk along the dependencies comes back.
fn circles(root: &str, found: &Dependencies) -> Vec<String> {
    let mut complaints = Vec::new();
    for start in found.keys() {
        if let Some(way) = way_back(found, start) {
            complaints.push(format!("{root}/src: {}", way.join(" -> ")));
        }
    }
    complaints
}

fn way_back(found: &Dependencies, start: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut visited = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in found.get(way.last()?).into_iter().flatten() {
            let longer: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if visited.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

/// The paths that a file names outside of tests, imports and others.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn add_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.found.push(with(&name.ident)),
            UseTree::Rename(rename) => self.found.push(with(&rename.ident)),
            UseTree::Glob(_) => self.found.push(prefix.to_vec()),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.add_tree(prefix, item));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|only| only.is_ident("test"))
    })
}

#[test]
fn a_circle_is_named() {
    let complaints = |files: &[(&str, &str)]| {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circles("wire", &dependencies(&sources, "wire"))
    };
    let a = ("wire/src/a/mod.rs", "use crate::b::{self, c::D};");
    assert!(complaints(&[a, ("wire/src/b.rs", "use super::b::X; use std::fmt;")]).is_empty());
    let there_and_back = ["wire/src: a -> b -> a", "wire/src: b -> a -> b"];
    assert_eq!(complaints(&[a, ("wire/src/b.rs", "use super::a::X;")]), there_and_back);
    let inner = ("wire/src/b/c.rs", "fn f() { crate::a::g() }");
    assert_eq!(complaints(&[a, inner]), there_and_back);
    let in_tests = ("wire/src/b.rs", "#[cfg(test)] mod tests { use crate::a::X; }");
    assert!(complaints(&[a, in_tests]).is_empty());
    let renamed = [
        ("wire/src/lib.rs", "mod a; mod b; pub use a::inner;"),
        a,
        ("wire/src/a/inner.rs", ""),
        ("wire/src/b.rs", "use crate::inner::X;"),
    ];
    assert_eq!(complaints(&renamed), there_and_back);
}
