//! `evenkeel run`: runs one node in the foreground until SIGTERM or SIGINT.

use crate::{Exit, Failure, config_check::ConfigSource};
use evenkeel_node::{
    node::{self, RunError},
    telemetry::Telemetry,
};

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    source: ConfigSource,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let config = args.source.load()?;
    let telemetry = Telemetry::start(&config.log).map_err(Failure::usage)?;
    node::run(config, telemetry).map_err(|error| {
        tracing::error!(%error, "the node has stopped");
        let exit = match error {
            RunError::Damaged(_) | RunError::StoppedForGood(_) => Exit::Damaged,
            _ => Exit::Failed,
        };
        Failure::new(exit, error)
    })
}
