//! `evenkeel run`: one node, in the foreground, until SIGTERM or SIGINT.

use crate::{Exit, Failure, config_check::Source};
use evenkeel_node::{
    node::{self, RunError},
    telemetry::Telemetry,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
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
