//! Names that can be searched for: a type's name stands once in its crate, and a function says what
//! it does to what.

use std::collections::BTreeMap;

use syn::{
    Attribute, ImplItem, Item, ItemFn, ItemImpl, ItemMod, ItemTrait, TraitItem, Visibility,
    visit::{self, Visit},
};

use crate::{
    assert_tidy,
    sources::{self, CRATES, Source},
};

/// Of the functions outside tests and trait implementations, how many may have a name of one word.
const ONE_WORD_PERCENT_MAX: usize = 52;

#[test]
fn a_type_with_any_pub_has_its_name_once_per_crate() {
    assert_tidy(&doubled_types(&sources::all()));
}

#[test]
fn most_functions_have_names_of_more_than_one_word() {
    let (one_word, all) = count_functions(&sources::all());
    assert!(all > 2_000, "only {all} functions were found");
    assert!(
        one_word * 100 <= all * ONE_WORD_PERCENT_MAX,
        "{one_word} of {all} functions have a name of one word; at most {ONE_WORD_PERCENT_MAX} % may"
    );
}

fn doubled_types(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for root in CRATES {
        let mut types: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
        for source in sources.iter().filter(|source| in_crate(source, root)) {
            let mut names = Names::default();
            names.visit_file(&source.syntax());
            for (name, has_pub) in names.types {
                types.entry(name).or_default().push((source.path.clone(), has_pub));
            }
        }
        for (name, definitions) in types {
            if definitions.len() > 1 && definitions.iter().any(|(_, has_pub)| *has_pub) {
                let paths: Vec<String> = definitions.into_iter().map(|(path, _)| path).collect();
                complaints.push(format!("{name} is defined in {}", paths.join(" and in ")));
            }
        }
    }
    complaints
}

/// How many functions have a name of one word, and how many there are. `new` isn't counted.
fn count_functions(sources: &[Source]) -> (usize, usize) {
    let mut names = Names::default();
    for source in sources.iter().filter(|source| source.place().is_some()) {
        names.visit_file(&source.syntax());
    }
    names.functions.retain(|name| name != "new");
    let one_word = names.functions.iter().filter(|name| !name.trim_matches('_').contains('_'));
    (one_word.count(), names.functions.len())
}

fn in_crate(source: &Source, root: &str) -> bool {
    source.place().is_some_and(|(of, _)| of == root)
}

/// The names that a file defines outside of tests.
#[derive(Default)]
struct Names {
    functions: Vec<String>,
    /// With whether there's any `pub` before it.
    types: Vec<(String, bool)>,
}

impl Names {
    fn add_type(&mut self, name: &syn::Ident, visibility: &Visibility) {
        self.types.push((name.to_string(), !matches!(visibility, Visibility::Inherited)));
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Struct(it) if !is_test(&it.attrs) => self.add_type(&it.ident, &it.vis),
            Item::Enum(it) if !is_test(&it.attrs) => self.add_type(&it.ident, &it.vis),
            Item::Union(it) if !is_test(&it.attrs) => self.add_type(&it.ident, &it.vis),
            Item::Type(it) if !is_test(&it.attrs) => self.add_type(&it.ident, &it.vis),
            Item::Trait(it) if !is_test(&it.attrs) => self.add_type(&it.ident, &it.vis),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_test(&function.attrs) {
            self.functions.push(function.sig.ident.to_string());
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_trait(&mut self, definition: &'ast ItemTrait) {
        for item in &definition.items {
            if let TraitItem::Fn(method) = item {
                self.functions.push(method.sig.ident.to_string());
            }
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        if is_test(&block.attrs) || block.trait_.is_some() {
            return;
        }
        for item in &block.items {
            if let ImplItem::Fn(method) = item
                && !is_test(&method.attrs)
            {
                self.functions.push(method.sig.ident.to_string());
            }
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        path.segments.last().is_some_and(|last| last.ident == "test")
            || (path.is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|only| only.is_ident("test")))
    })
}

#[test]
fn a_doubled_type_is_named_unless_neither_is_pub() {
    let one = |text: &str| Source::new("wire/src/a.rs", text);
    let other = |text: &str| Source::new("wire/src/b/c.rs", text);
    let complaints = |a, b| doubled_types(&[one(a), other(b)]);
    let doubled = ["Place is defined in wire/src/a.rs and in wire/src/b/c.rs"];
    assert_eq!(complaints("struct Place;", "pub(super) enum Place {}"), doubled);
    assert_eq!(complaints("pub trait Place {}", "fn f() { struct Place; }"), doubled);
    assert!(complaints("struct Place;", "type Place = u8;").is_empty());
    assert!(complaints("pub struct Place;", "#[cfg(test)] mod tests { struct Place; }").is_empty());
    let elsewhere = Source::new("storage/src/a.rs", "pub struct Place;");
    assert!(doubled_types(&[one("pub struct Place;"), elsewhere]).is_empty());
}

#[test]
fn functions_of_one_word_are_counted() {
    let text = "fn tell() {} fn report_lag() {} impl A { fn new() {} fn room() {} }
        impl Clone for A { fn clone(&self) {} } trait T { fn had(&self); }
        #[cfg(test)] mod tests { fn look() {} } #[test] fn all() {}";
    assert_eq!(count_functions(&[Source::new("node/src/a.rs", text)]), (3, 4));
    assert_eq!(count_functions(&[Source::new("node/tests/a.rs", text)]), (0, 0));
}
