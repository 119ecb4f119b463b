//! The results of a row: claims, and figures with their bounds, each of which holds or doesn't.

use std::{fmt::Display, process::Output, time::Duration};

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::output::{print_line, print_progress};

/// The claims of one row.
#[derive(Debug, Default)]
pub(crate) struct ResultSheet {
    lines: Vec<(String, bool)>,
}

impl ResultSheet {
    /// Records a claim and whether it holds.
    pub(crate) fn record_claim(&mut self, claim: impl Into<String>, holds: bool) {
        let claim = claim.into();
        print_progress(&format!("  {} {claim}", if holds { "ok  " } else { "FAIL" }));
        self.lines.push((claim, holds));
    }

    /// Records a figure with its upper bound.
    pub(crate) fn at_most<T: PartialOrd + Display>(
        &mut self,
        what: &str,
        figure: T,
        bound: T,
        unit: &str,
    ) {
        let holds = figure <= bound;
        self.record_claim(format!("{what}: {figure:.2}{unit} (at most {bound:.2}{unit})"), holds);
    }

    /// Records a figure with its lower bound.
    pub(crate) fn at_least<T: PartialOrd + Display>(
        &mut self,
        what: &str,
        figure: T,
        bound: T,
        unit: &str,
    ) {
        let holds = figure >= bound;
        self.record_claim(format!("{what}: {figure:.2}{unit} (at least {bound:.2}{unit})"), holds);
    }

    /// Records a duration with its upper bound.
    pub(crate) fn takes_at_most(&mut self, what: &str, time: Duration, bound: Duration) {
        self.at_most(
            what,
            crate::scenarios::failover::millis_rounded_up(time),
            crate::scenarios::failover::millis_rounded_up(bound),
            " ms",
        );
    }

    /// Prints all claims; returns whether all hold.
    pub(crate) fn print(&self, row: &str) -> bool {
        let passes = !self.lines.is_empty() && self.lines.iter().all(|(_, holds)| *holds);
        for (claim, holds) in &self.lines {
            print_line(&format!("{row}  {}  {claim}", if *holds { "ok  " } else { "FAIL" }));
        }
        print_line(&format!("{row}  {}", if passes { "pass" } else { "FAIL" }));
        passes
    }
}

/// Parses a program's stdout as JSON.
pub(crate) fn json_of(output: &Output) -> anyhow::Result<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(anyhow!("{}: {}", output.status, output_text(output)));
    }
    serde_json::from_str(text.trim()).with_context(|| text.into_owned())
}

/// A program's complete output, in one line.
pub(crate) fn output_text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let lines = out.lines().chain(err.lines()).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
