//! Where the simulation speaks.

use std::io::{self, Write};

/// One line on stdout. A reader that has gone away is no failure.
pub fn print_line(text: &str) {
    let _nobody_reads = writeln!(io::stdout().lock(), "{text}");
}
