//! The walks of docs/ARCHITECTURE.md: each step names a file and a function, and both must exist.

use std::{collections::BTreeSet, fs};

use syn::visit::{self, Visit};

use crate::{assert_tidy, sources};

/// The headings of the walks, each with the parts it's divided into: none enters a file twice.
const WALKS: [(&str, &[&str]); 2] =
    [("## Follow a payment", &["The way in", "The way back"]), ("## Follow a switchover", &[])];
/// How many files one payment may pass.
const PAYMENT_FILES_MAX: usize = 30;

/// A file that a row of a walk enters: `| 1 | `file` `function` `file` `function` | what |`.
struct Step {
    part: String,
    file: String,
    functions: Vec<String>,
}

#[test]
fn every_step_of_a_walk_exists() {
    let document = fs::read_to_string(sources::root().join("docs/ARCHITECTURE.md"));
    let document = document.expect("docs/ARCHITECTURE.md");
    let mut complaints = Vec::new();
    for (heading, parts) in WALKS {
        let steps = steps(&document, heading);
        assert!(steps.len() >= 8, "{heading}: only {} steps were found", steps.len());
        for step in &steps {
            let text = fs::read_to_string(sources::root().join(&step.file)).unwrap_or_default();
            complaints.extend(missing(step, &text));
        }
        complaints.extend(parts.iter().flat_map(|part| entered_twice(&steps, part)));
        if heading.ends_with("payment") {
            let files: BTreeSet<&str> = steps.iter().map(|step| step.file.as_str()).collect();
            let number = files.len();
            assert!(number <= PAYMENT_FILES_MAX, "a payment passes {number} files");
        }
    }
    assert_tidy(&complaints);
}

fn steps(document: &str, heading: &str) -> Vec<Step> {
    let section = document.split(heading).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut part = String::new();
    let mut steps: Vec<Step> = Vec::new();
    for line in section.lines() {
        if let Some(title) = line.strip_prefix("**") {
            title
                .split_once("**")
                .unwrap_or_default()
                .0
                .trim_end_matches('.')
                .clone_into(&mut part);
        }
        let Some(place) = line.strip_prefix("| ").and_then(|row| row.split(" | ").nth(1)) else {
            continue;
        };
        for word in place.split('`').skip(1).step_by(2).map(str::to_owned) {
            match steps.last_mut() {
                Some(step) if !word.ends_with(".rs") => step.functions.push(word),
                _ => steps.push(Step { part: part.clone(), file: word, functions: Vec::new() }),
            }
        }
    }
    steps
}

/// What a step names and its file doesn't have.
fn missing(step: &Step, text: &str) -> Vec<String> {
    let Ok(syntax) = syn::parse_file(text)
        .map_err(drop)
        .and_then(|syntax| if text.is_empty() { Err(()) } else { Ok(syntax) })
    else {
        return vec![format!("{} doesn't exist", step.file)];
    };
    let mut functions = Functions::default();
    functions.visit_file(&syntax);
    let unknown = step.functions.iter().filter(|name| !functions.0.contains(*name));
    let mut complaints: Vec<String> =
        unknown.map(|name| format!("{} has no fn {name}", step.file)).collect();
    if step.functions.is_empty() {
        complaints.push(format!("{}: no function is named", step.file));
    }
    complaints
}

fn entered_twice(steps: &[Step], part: &str) -> Vec<String> {
    let mut entered = BTreeSet::new();
    let of_part = steps.iter().filter(|step| step.part == part);
    of_part
        .filter(|step| !entered.insert(&step.file))
        .map(|step| format!("{part} enters {} twice", step.file))
        .collect()
}

#[derive(Default)]
struct Functions(BTreeSet<String>);

impl<'ast> Visit<'ast> for Functions {
    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.0.insert(signature.ident.to_string());
        visit::visit_signature(self, signature);
    }
}

#[test]
fn a_wrong_step_is_named() {
    let document = "## Follow a payment\n\n**The way in.** Text.\n\n| | where | what |\n|---|---|---|\n\
        | 1 | `a.rs` `f` `g` `b.rs` | x |\n| 2 | `a.rs` `f` | z |\n\n**The way back.**\n\n\
        | 4 | `a.rs` `f` | z |\n\n## Next\n| 5 | `c.rs` | x |\n";
    let steps = steps(document, "## Follow a payment");
    assert_eq!(steps.len(), 4);
    assert_eq!(missing(&steps[0], "impl A { fn f() {} }"), ["a.rs has no fn g"]);
    assert_eq!(missing(&steps[1], "fn f() {}"), ["b.rs: no function is named"]);
    assert_eq!(missing(&steps[1], ""), ["b.rs doesn't exist"]);
    assert_eq!(entered_twice(&steps, "The way in"), ["The way in enters a.rs twice"]);
    assert!(entered_twice(&steps, "The way back").is_empty());
}
