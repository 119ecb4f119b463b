//! Output: data on stdout, errors and progress on stderr, tables for people.

use std::io::{self, Write};

use serde::Serialize;

use crate::{Exit, Failure};

/// Prints data. A closed pipe (`| head`) isn't a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints data as JSON on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::failed(format!("the answer can't be encoded: {error}")))?;
    print(&text)
}

/// Prints an error to stderr. A closed stderr is ignored.
pub(crate) fn print_error(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(io::stderr(), "evenkeel: {text}");
    }
}

/// Prints a progress line to stderr.
pub(crate) fn print_note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Formats a table: columns as wide as needed, numeric columns right-aligned.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).chain([head[column].len()]).max().unwrap_or(0)
    };
    let is_number = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| *cell != "-");
        cells.all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
    };
    let widths: Vec<(usize, bool)> =
        (0..head.len()).map(|column| (width(column), is_number(column))).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, (width, right)) in cells.zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let padded =
                if *right { format!("{padding}{cell}") } else { format!("{cell}{padding}") };
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&padded);
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// The value, or a hyphen.
pub(crate) fn cell(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let rows = [vec!["pangyo".into(), "7".into()], vec!["busan".into(), "1200".into()]];
        assert_eq!(table(&["site", "lag"], &rows), "site     lag\npangyo     7\nbusan   1200");
        let rows = [vec!["pangyo".into(), cell(None::<u64>)]];
        assert_eq!(table(&["site", "lag"], &rows), "site    lag\npangyo    -");
    }
}
