//! `evenkeel verify`: whether a data folder (of a stopped node, or a copy) is what was written, bit for bit.

use std::path::PathBuf;

use super::{Failure, output, verdict};
use crate::verify;

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
    }
    verdict::pronounce(&report, args.json)
}
