//! Wall time. Only this module reads the machine's clock, so that a simulation can replace it.
//!
//! Deadlines and intervals use tokio's monotonic `Instant`. The ledger never reads this clock: its
//! time arrives in entries.

pub mod calendar;
pub mod comparison;
pub mod lasting;

use std::time::Duration;

use jiff::Timestamp;

/// A source of wall time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch, UTC. May step, in either direction.
    fn wall_micros(&self) -> u64;

    /// Milliseconds since the Unix epoch, UTC, as in a new command id.
    fn wall_millis(&self) -> u64 {
        self.wall_micros() / 1_000
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
    fn wall_micros(&self) -> u64 {
        // A machine clock before 1970 counts as 1970.
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Formats a time for people and JSON: RFC 3339 in UTC. Microseconds beyond the calendar stay a
/// number.
#[must_use]
pub fn format_time(micros: u64) -> String {
    i64::try_from(micros)
        .ok()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok())
        .map_or_else(|| micros.to_string(), |time| format!("{time:.6}"))
}

/// Formats a span for people, with two units at most: `340 ms`, `1.2 s`, `3 min 4 s`, `5 d 2 h`.
#[must_use]
pub fn format_span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Why a text isn't a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} isn't a time: write 2026-10-15T15:19:00Z, or 90m for an hour and a half ago")]
pub struct TimeError(String);

/// Parses a time: RFC 3339, or a span before `now`. Returns microseconds since the Unix epoch.
///
/// # Errors
/// When it's neither.
pub fn parse_time(text: &str, now: u64) -> Result<u64, TimeError> {
    let unreadable = || TimeError(text.to_owned());
    if let Ok(time) = text.parse::<Timestamp>() {
        return u64::try_from(time.as_microsecond()).map_err(|_| unreadable());
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| unreadable())?;
    let micros = u64::try_from(span.abs().as_micros()).map_err(|_| unreadable())?;
    Ok(now.saturating_sub(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = parse_time("2026-10-15T15:19:00Z", 0).expect("a time");
        assert_eq!(format_time(now), "2026-10-15T15:19:00.000000Z");
        for (text, time) in [
            ("2026-10-16T00:19:00+09:00", "2026-10-15T15:19:00.000000Z"),
            ("90m", "2026-10-15T13:49:00.000000Z"),
            ("1h 30m", "2026-10-15T13:49:00.000000Z"),
            ("10s ago", "2026-10-15T15:18:50.000000Z"),
        ] {
            assert_eq!(format_time(parse_time(text, now).expect(text)), time, "{text}");
        }
        for text in ["", "yesterday", "10", "2026-10-15"] {
            assert!(parse_time(text, now).is_err(), "{text}");
        }
    }
}
