//! `evenkeel verify`: a data folder that no node uses, from the first byte to the last.

use std::path::PathBuf;

use super::{Failure, output, verdict};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data folder of a node that is stopped, or a copy of one
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let report = crate::verify::offline(&args.path).map_err(Failure::failed)?;
    if args.json {
        output::print_json(&report)?;
    }
    verdict::pronounce(&report, args.json)
}
