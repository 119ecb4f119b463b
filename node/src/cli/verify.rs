//! `evenkeel verify`: whether a data folder (of a stopped node, or a copy) is what was written, bit for bit.

use std::path::PathBuf;

use super::{Exit, Failure, output};
use crate::{status::VerifyReport, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let report = verify::offline(&args.path).map_err(Failure::failed)?;
    if args.json {
        output::print_json(&report)?;
    } else if report.ok {
        output::print(&in_order(&report))?;
    }
    match report.damage {
        None => Ok(()),
        Some(damage) => Err(Failure::new(Exit::Damaged, format!("damaged: {damage}"))),
    }
}

fn in_order(report: &VerifyReport) -> String {
    let last = report.last.map_or_else(|| "none".to_owned(), |last| last.to_string());
    format!(
        "{} entries up to {last} are in order; the balances agree with the journal\nhead   {}\ndigest {}",
        report.entries,
        report.head.as_deref().unwrap_or("-"),
        report.digest.as_deref().unwrap_or("-"),
    )
}
