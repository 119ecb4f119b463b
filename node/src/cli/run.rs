//! `evenkeel run`: one node, in the foreground, until it's told to stop.

use super::{Failure, config_check::Source};
use crate::telemetry::Telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    let telemetry = Telemetry::start(&config.log).map_err(Failure::usage)?;
    crate::node::run(config, telemetry).map_err(Failure::failed)
}
