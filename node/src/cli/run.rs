//! `evenkeel run`: one node, in the foreground, until SIGTERM or SIGINT.

use super::{Exit, Failure, config_check::Source};
use crate::{
    node::{self, RunError},
    telemetry::Telemetry,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.source.load()?;
    let telemetry = Telemetry::start(&config.log).map_err(Failure::usage)?;
    node::run(config, telemetry).map_err(|error| {
        tracing::error!(%error, "the node has stopped");
        let exit = match error {
            RunError::Damaged(_) => Exit::Damaged,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    })
}
