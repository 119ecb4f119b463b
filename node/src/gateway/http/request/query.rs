//! A path's query: known parameters, each at most once. It never accepts any other.

use axum::http::Uri;
use evenkeel_wire::{
    limits::HISTORY_PAGE_MAX,
    request::{Consistency, Cursor},
};

use crate::gateway::http::answer::problem::Problem;

/// Parameters by name, as written.
pub(crate) struct Parameters<'a, const N: usize> {
    names: [&'static str; N],
    values: [Option<&'a str>; N],
}

/// Parses a query.
///
/// # Errors
/// Names a parameter that is unknown or repeated.
pub(crate) fn parameters<'a, const N: usize>(
    uri: &'a Uri,
    names: [&'static str; N],
) -> Result<Parameters<'a, N>, Problem> {
    let mut values = [None; N];
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name);
        let place = place.ok_or_else(|| unknown(name, &names))?;
        if values[place].replace(value).is_some() {
            return Err(Problem::malformed(format!("{name}: is there twice")));
        }
    }
    Ok(Parameters { names, values })
}

/// Checks that there's no query.
pub(crate) fn check_no_query(query: Option<&str>) -> Result<(), Problem> {
    match query.unwrap_or_default().split('&').find(|pair| !pair.is_empty()) {
        None => Ok(()),
        Some(pair) => Err(unknown(pair.split('=').next().unwrap_or_default(), &[])),
    }
}

fn unknown(name: &str, names: &[&str]) -> Problem {
    let shown: String = name.chars().take(64).collect();
    Problem::malformed(match names {
        [] => format!("{shown}: unknown parameter; this route has none"),
        names => format!("{shown}: unknown parameter; there are {}", names.join(", ")),
    })
}

impl<const N: usize> Parameters<'_, N> {
    /// A parameter's value, parsed by `read`.
    pub(crate) fn get<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let place = self.names.iter().position(|known| *known == name);
        let value = place.and_then(|place| self.values[place]);
        value
            .map(|value| {
                read(value).ok_or_else(|| Problem::malformed(format!("{name}: not {expected}")))
            })
            .transpose()
    }

    /// The consistency of a read.
    pub(crate) fn consistency(&self) -> Result<Consistency, Problem> {
        let read = |text: &str| match text {
            "linearizable" => Some(Consistency::Linearizable),
            "local" => Some(Consistency::Local),
            _ => None,
        };
        let consistency = self.get("consistency", "linearizable or local", read)?;
        Ok(consistency.unwrap_or(Consistency::Linearizable))
    }

    /// The most items of a page.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let expected = format!("an integer within 1 and {HISTORY_PAGE_MAX}");
        let read =
            |text: &str| digits::<u32>(text).filter(|limit| (1..=HISTORY_PAGE_MAX).contains(limit));
        Ok(self.get("limit", &expected, read)?.unwrap_or(LIMIT_DEFAULT))
    }

    /// The start of a page.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Problem> {
        self.get("cursor", "the next_cursor of an earlier page", read_cursor)
    }
}

const LIMIT_DEFAULT: u32 = 100;

/// The form of a page's cursor.
pub(crate) const CURSOR_PATTERN: &str = "^[0-9]{1,18}\\.[0-9]{1,4}$";

/// Formats a cursor.
pub(crate) fn cursor_text(cursor: Cursor) -> String {
    format!("{}.{}", cursor.position, cursor.command)
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (entry, command) = text.split_once('.')?;
    Some(Cursor { position: position(entry)?, command: index(command)? })
}

/// Parses a position, of at most as many digits as the document allows.
pub(crate) fn position(text: &str) -> Option<u64> {
    digits(text).filter(|_| text.len() <= 18)
}

/// Parses an index of an outcome or a command in its entry, likewise.
pub(crate) fn index(text: &str) -> Option<u16> {
    digits(text).filter(|_| text.len() <= 4)
}

/// Parses a whole number of digits only.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
