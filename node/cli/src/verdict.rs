//! The result of offline and online verification: text on stdout when the journal is whole,
//! otherwise a failure with exit code 5.

use std::fmt::Write;

use crate::{
    Exit, Failure,
    output::{cell, print},
};
use evenkeel_node::replay::verify_report::VerifyReport;

/// Reports the result. With `--json` the report is already on stdout.
pub(crate) fn report_verdict(report: &VerifyReport, json: bool) -> Result<(), Failure> {
    if !report.ok {
        let damage = report
            .damage
            .as_ref()
            .map_or_else(|| "damage at an unknown location".to_owned(), ToString::to_string);
        return Err(Failure::new(Exit::Damaged, format!("damaged: {damage}")));
    }
    if json {
        return Ok(());
    }
    let mut text = format!(
        "whole: {} entries, positions {} to {}, head {}",
        report.entries,
        cell(report.first),
        cell(report.last),
        cell(report.head.as_ref())
    );
    if let Some(digest) = &report.digest {
        write!(text, "; the rebuilt balances match, digest {digest}")
            .expect("writing to memory can't fail");
    }
    print(&text)
}
