//! The log: one line for each thing that an operator must know, on stderr, for people or as JSON. Never one per command.
//!
//! A filter is a level, or `TARGET=LEVEL` items with commas between them. A bare level is the level of evenkeel itself;
//! the libraries underneath stay at warnings unless they're named.

mod alarms;

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, layer::SubscriberExt, reload,
    util::SubscriberInitExt,
};

use crate::{
    config::{LogConfig, LogFormat},
    timeline::Timeline,
};
use alarms::Alarms;

/// What writes evenkeel's own lines.
const OWN_TARGETS: [&str; 5] =
    ["evenkeel", "evenkeel_node", "evenkeel_wire", "evenkeel_storage", "evenkeel_testnet"];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why there's no log as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a level nor a target with one.
    #[error(
        "{0:?} is no filter: write off, error, warn, info, debug or trace, or items as openraft=debug with commas between them"
    )]
    Filter(String),
    /// Somebody else logs in this process.
    #[error("the log is set up already")]
    Taken,
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
    pub fn start(config: &LogConfig) -> Result<Self, Error> {
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
            .map_err(|_| Error::Taken)?;
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
    pub fn set_filter(&self, text: &str) -> Result<(), Error> {
        self.filter.reload(parse_filter(text)?).map_err(|_| Error::Taken)
    }
}

/// Reads a filter. Stricter than the library, to which a misspelt level is the name of a target.
///
/// # Errors
/// When it's none.
pub fn parse_filter(text: &str) -> Result<EnvFilter, Error> {
    let wrong = || Error::Filter(text.to_owned());
    let mut own = None;
    let mut named = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (target, level) = item.split_once('=').unwrap_or(("", item));
        let level = level.to_ascii_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            return Err(wrong());
        }
        if target.is_empty() {
            if item.contains('=') || own.replace(level).is_some() {
                return Err(wrong());
            }
        } else if is_target(target) {
            named.push(format!("{target}={level}"));
        } else {
            return Err(wrong());
        }
    }
    let own = own.unwrap_or_else(|| "info".to_owned());
    let libraries = if matches!(own.as_str(), "off" | "error") { own.as_str() } else { "warn" };
    // The engine warns of every heartbeat that a dead peer misses; what an operator must know of it, we say ourselves.
    let engine = if own == "off" { "off" } else { "error" };
    let mut directives = vec![libraries.to_owned(), format!("openraft={engine}")];
    directives.extend(OWN_TARGETS.iter().map(|target| format!("{target}={own}")));
    directives.extend(named);
    EnvFilter::builder().parse(directives.join(",")).map_err(|_| wrong())
}

fn is_target(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_an_error_and_not_a_target() {
        for text in ["", "inof", "info,", "=info", "a b=info", "openraft=loud", "info,debug"] {
            assert!(parse_filter(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bare_level_is_evenkeels_and_libraries_stay_quiet() {
        let filter = parse_filter("info").expect("a filter").to_string();
        assert!(filter.contains("openraft=error"), "{filter}");
        let filter = parse_filter("debug").expect("a filter").to_string();
        assert!(filter.contains("evenkeel_node=debug") && filter.contains("warn"), "{filter}");
        let filter = parse_filter("INFO,openraft=trace").expect("a filter").to_string();
        assert!(filter.contains("openraft=trace"), "{filter}");
        let filter = parse_filter("off").expect("a filter").to_string();
        assert!(!filter.contains("warn"), "{filter}");
    }
}
