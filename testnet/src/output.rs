//! How the testnet talks: data to stdout, everything else to stderr.
//!
//! A reader that has gone away is no reason to stop: its loss.

use std::io::{self, Write};

use serde::Serialize;

/// One line of data.
pub fn print_line(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Data as JSON, on one line.
pub fn print_json(value: &impl Serialize) {
    print_line(&serde_json::to_string(value).expect("plain data is JSON"));
}

/// One line for the person who waits.
pub fn print_progress(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
