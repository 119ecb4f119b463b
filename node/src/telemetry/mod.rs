//! The log: one line for each thing that an operator must know, on stderr, for people or as JSON. Never one per command.
//!
//! A filter is a level, or `TARGET=LEVEL` items with commas between them. A bare level is the level of evenkeel itself;
//! the libraries underneath stay at warnings unless they're named.

mod alarms;
pub mod timeline;

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

use self::timeline::Timeline;
pub(crate) use crate::config::{
    LogConfig, LogFormat,
    log_filter::{FilterError, parse_filter},
};
use alarms::Alarms;

/// Why there is no log as requested.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Neither a level nor a target with one.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Somebody else logs in this process.
    #[error("the log is set up already")]
    AlreadyStarted,
}

/// The running log; clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    alarms: Alarms,
}

impl Telemetry {
    /// Starts the log of this process.
    ///
    /// # Errors
    /// When the filter is none, or the process logs already.
    pub fn start(config: &LogConfig) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(parse_filter(&config.filter)?);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match config.format {
            LogFormat::Readable => {
                lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).boxed()
            }
            LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
        };
        let alarms = Alarms::default();
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(alarms.clone().with_filter(LevelFilter::ERROR))
            .try_init()
            .map_err(|_| TelemetryError::AlreadyStarted)?;
        Ok(Self { filter: handle, alarms })
    }

    /// Errors are recorded as alarms there, too.
    pub fn record_alarms_in(&self, timeline: &Timeline) {
        self.alarms.record_in(timeline.clone());
    }

    /// Another filter, from now on.
    ///
    /// # Errors
    /// When it's none; the old one stays.
    pub fn set_filter(&self, text: &str) -> Result<(), TelemetryError> {
        self.filter.reload(parse_filter(text)?).map_err(|_| TelemetryError::AlreadyStarted)
    }
}
