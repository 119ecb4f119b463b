//! `evenkeel run`: runs one node in the foreground until SIGTERM or SIGINT.

use crate::{Exit, Failure, config_check::ConfigSource, panics};
use evenkeel_node::{
    node::{self, Signals},
    telemetry::{SiteNames, Telemetry, TelemetryError},
};

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    source: ConfigSource,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let signals = Signals::take_over().map_err(Failure::failed)?;
    let config = args.source.load()?;
    let names = SiteNames::new(&config.site, &config.members);
    let telemetry = Telemetry::start(&config.log, &names).map_err(|error| match error {
        TelemetryError::Io(_) => Failure::failed(error),
        error => Failure::usage(error),
    })?;
    panics::report_in(&telemetry);
    node::run(config, telemetry, signals).map_err(|error| {
        let exit = if error.needs_operator() { Exit::Damaged } else { Exit::Failed };
        // The log has it.
        Failure::new(exit, "")
    })
}
