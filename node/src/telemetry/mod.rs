//! The log: one line for each event that an operator needs, on stderr, for people or as JSON. It
//! never has a line per command, and never waits for its reader.
//!
//! A filter is a level, or `TARGET=LEVEL` items separated by commas. A bare level applies to
//! evenkeel itself; the libraries stay at warnings unless they're named.

mod alarms;
mod fields;
pub mod folded;
mod lines;
mod log_queue;
mod planted;
pub mod timeline;

use std::{collections::BTreeMap, fs::File, io::IsTerminal, os::fd::AsFd};

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
use crate::limits::LOG_FLUSH_PATIENCE;
use alarms::{AlarmLayer, Alarms};
pub use fields::SiteNames;
use lines::LogLines;
use log_queue::LogQueue;
pub(crate) use planted::panic_if_planted;

/// Why the log can't be set up as requested.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The text isn't a filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The process has a log already.
    #[error("the log is already set up")]
    AlreadyStarted,
    /// stderr can't be written, or there's no thread for it.
    #[error("the log can't be started: {0}")]
    Io(#[from] std::io::Error),
}

/// The running log; clones are handles to the same log.
#[derive(Clone)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
    alarms: Alarms,
    queue: LogQueue,
}

impl Telemetry {
    /// Starts this process's log.
    ///
    /// # Errors
    /// When the filter is invalid, the process has a log already, or stderr isn't open.
    pub fn start(config: &LogConfig, names: &SiteNames) -> Result<Self, TelemetryError> {
        let (filter, handle) = reload::Layer::new(parse_filter(&config.filter)?);
        let stderr = std::io::stderr();
        let coloured = config.format == LogFormat::Readable && stderr.is_terminal();
        // A file of its own: a thread with the standard library's lock on stderr may be blocked.
        let to = File::from(stderr.as_fd().try_clone_to_owned()?);
        let alarms = Alarms::default();
        let queue = LogQueue::start(Box::new(to), alarms.clone())?;
        let (format, names) = (config.format, names.clone());
        let lines = LogLines { format, coloured, names: names.clone(), queue: queue.clone() };
        let recorded = AlarmLayer { alarms: alarms.clone(), names };
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(recorded.with_filter(LevelFilter::ERROR))
            .try_init()
            .map_err(|_| TelemetryError::AlreadyStarted)?;
        Ok(Self { filter: handle, alarms, queue })
    }

    /// Records errors as alarms in this timeline, too.
    pub fn record_alarms_in(&self, timeline: &Timeline) {
        self.alarms.record_in(timeline.clone());
    }

    /// How many alarms of each kind there were since the start.
    #[must_use]
    pub fn alarm_counts(&self) -> BTreeMap<String, u64> {
        self.alarms.counts()
    }

    /// Waits until all lines are written, but not for a reader that doesn't read.
    pub fn flush(&self) {
        self.queue.flush(LOG_FLUSH_PATIENCE);
    }

    /// Reports the panic that is ending this process: one line, and the timeline's last event.
    /// It may block: call it from a thread that nobody waits for longer than a bound.
    pub fn report_panic(&self, why: &str) {
        tracing::error!(kind = "panic", "a bug ended this node: {why}; report it, and start again");
        if let Some(timeline) = self.alarms.timeline() {
            let why = serde_json::json!({ "why": format!("a panic: {why}") });
            timeline.record_last("stopped_by_itself", why, LOG_FLUSH_PATIENCE);
        }
        self.flush();
    }

    /// Sets another filter from now on.
    ///
    /// # Errors
    /// When the filter is invalid; the old one stays.
    pub fn set_filter(&self, text: &str) -> Result<(), TelemetryError> {
        self.filter.reload(parse_filter(text)?).map_err(|_| TelemetryError::AlreadyStarted)
    }
}
