//! How both kinds of verification end: in words on stdout when the journal is whole, as damage (5) when it isn't.

use std::fmt::Write;

use crate::{
    Exit, Failure,
    output::{cell, print},
};
use evenkeel_node::replay::verify_report::VerifyReport;

/// Judges a report. With JSON the report itself is on stdout already.
pub(crate) fn report_verdict(report: &VerifyReport, json: bool) -> Result<(), Failure> {
    if !report.ok {
        let damage = report
            .damage
            .as_ref()
            .map_or_else(|| "damage without a place".to_owned(), ToString::to_string);
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
        write!(text, "; the balances rebuilt from it agree, digest {digest}")
            .expect("writing to memory can't fail");
    }
    print(&text)
}
