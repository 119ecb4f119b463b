//! `evenkeel verify`: checks that a data folder (of a stopped node, or a copy) holds exactly the
//! bytes that were written.

use std::path::PathBuf;

use crate::{Failure, output, verdict};
use evenkeel_node::replay::verify;

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let report = verify::verify_offline(&args.path).map_err(Failure::failed)?;
    if args.json {
        output::print_json(&report)?;
    }
    verdict::report_verdict(&report, args.json)
}
