//! `evenkeel verify`: whether a data folder (of a stopped node, or a copy) is what was written, bit for bit.

use std::path::PathBuf;

use crate::{Failure, output, verdict};
use evenkeel_node::replay::verify;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = verify::offline(&args.path).map_err(Failure::failed)?;
    if args.json {
        output::print_json(&report)?;
    }
    verdict::pronounce(&report, args.json)
}
