//! The log's filter: a level, or `TARGET=LEVEL` items separated by commas. It never changes the
//! running filter itself; `telemetry` does.
//!
//! A bare level applies to evenkeel itself; the libraries stay at warnings unless they're named.

use tracing_subscriber::filter::Targets;

/// The targets of evenkeel's own log lines.
const OWN_TARGETS: [&str; 5] =
    ["evenkeel", "evenkeel_node", "evenkeel_wire", "evenkeel_storage", "evenkeel_testnet"];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A text that isn't a filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} isn't a filter: write off, error, warn, info, debug or trace, or items such as openraft=debug separated by commas"
)]
pub struct FilterError(String);

/// Parses a filter. Stricter than the library, which takes a misspelt level for a target's name.
///
/// # Errors
/// When the text isn't a filter.
pub fn parse_filter(text: &str) -> Result<Targets, FilterError> {
    let wrong = || FilterError(text.to_owned());
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
    // The engine warns about every heartbeat that a dead peer misses; the node itself logs the
    // events that an operator needs.
    let engine = if own == "off" { "off" } else { "error" };
    let mut directives = vec![libraries.to_owned(), format!("openraft={engine}")];
    directives.extend(OWN_TARGETS.iter().map(|target| format!("{target}={own}")));
    directives.extend(named);
    directives.join(",").parse().map_err(|_| wrong())
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
