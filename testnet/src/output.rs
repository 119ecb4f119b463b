//! The testnet's output: data on stdout, everything else on stderr.
//!
//! A closed pipe doesn't stop the program; the output is lost.

use std::io::{self, Write};

use serde::Serialize;

/// Prints one line of data.
pub fn print_line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Prints data as JSON on one line.
pub fn print_json(value: &impl Serialize) {
    print_line(&serde_json::to_string(value).expect("plain data is JSON"));
}

/// Prints one progress line to stderr.
pub fn print_progress(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
