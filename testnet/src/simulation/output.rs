//! The simulation's output.

use std::io::{self, Write};

/// Prints one line to stdout. A closed pipe isn't a failure.
pub fn print_line(text: &str) {
    let _nobody_reads = writeln!(io::stdout().lock(), "{text}");
}
