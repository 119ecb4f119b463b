//! Comments that fit beside the code.

use crate::{
    assert_tidy,
    sources::{self, Source},
};

/// Characters, indentation included.
const COLUMNS_MAX: usize = 100;

#[test]
fn comments_end_within_100_columns() {
    assert_tidy(&wide(&sources::all()));
}

fn wide(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            let width = line.chars().count();
            if has_comment(line) && width > COLUMNS_MAX {
                let path = &source.path;
                complaints.push(format!("{path}:{}: {width} columns", number + 1));
            }
        }
    }
    complaints
}

/// Whether a line is a comment or ends with one. A `//` within quotes is none.
fn has_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
        || line
            .match_indices("// ")
            .any(|(at, _)| line[..at].matches('"').count().is_multiple_of(2))
}

#[test]
fn a_wide_comment_is_named() {
    let fits = format!("    // {}\n", "é".repeat(93));
    let wider = format!("    // {}\n", "é".repeat(94));
    let behind_code = format!("let a = 1; // {}\n", "x".repeat(90));
    let quoted = format!("let a = \"// {}\";\n", "x".repeat(100));
    let complaints = |text: &str| wide(&[Source::new("node/src/a.rs", text)]);
    assert!(complaints(&(fits + &quoted)).is_empty());
    assert_eq!(complaints(&wider), ["node/src/a.rs:1: 101 columns"]);
    assert_eq!(complaints(&behind_code), ["node/src/a.rs:1: 104 columns"]);
}
