//! The log: one line for each event that an operator needs, on stderr, for people or as JSON. It
//! never has a line per command.
//!
//! A filter is a level, or `TARGET=LEVEL` items separated by commas. A bare level applies to
//! evenkeel itself; the libraries stay at warnings unless they're named.

mod alarms;
pub mod folded;
pub mod timeline;

use std::io::IsTerminal;

use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use self::timeline::Timeline;
pub(crate) use crate::config::{
    LogConfig, LogFormat,
    log_filter::{FilterError, parse_filter},
};
use alarms::Alarms;

/// Why the log can't be set up as requested.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The text isn't a filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The process has a log already.
    #[error("the log is already set up")]
    AlreadyStarted,
}

/// The running log; clones are handles to the same log.
#[derive(Clone, Debug)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
    alarms: Alarms,
}

impl Telemetry {
    /// Starts this process's log.
    ///
    /// # Errors
    /// When the filter is invalid, or the process has a log already.
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

    /// Records errors as alarms in this timeline, too.
    pub fn record_alarms_in(&self, timeline: &Timeline) {
        self.alarms.record_in(timeline.clone());
    }

    /// Sets another filter from now on.
    ///
    /// # Errors
    /// When the filter is invalid; the old one stays.
    pub fn set_filter(&self, text: &str) -> Result<(), TelemetryError> {
        self.filter.reload(parse_filter(text)?).map_err(|_| TelemetryError::AlreadyStarted)
    }
}
