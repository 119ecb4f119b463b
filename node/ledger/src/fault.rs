//! Why the ledger stops.

use std::fmt;

/// A broken invariant: the books don't balance, an entry can't be decoded, a lookup failed. The
/// node must stop and report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFault {
    what: String,
    ends_with_restart: bool,
}

impl LedgerFault {
    /// `what` names the invariant and the values that break it.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ends_with_restart: false }
    }

    /// A fault that a new start mends: something derived is damaged, and the start rebuilds it.
    pub fn until_restart(what: impl Into<String>) -> Self {
        Self { what: what.into(), ends_with_restart: true }
    }

    /// Whether a new start mends it.
    #[must_use]
    pub fn ends_with_restart(&self) -> bool {
        self.ends_with_restart
    }
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl std::error::Error for LedgerFault {}
