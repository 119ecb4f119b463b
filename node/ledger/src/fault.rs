//! Why the ledger stops.

use std::fmt;

/// A broken invariant: the books don't balance, an entry can't be decoded, a lookup failed. The
/// node must stop and report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFault(String);

impl LedgerFault {
    /// `what` names the invariant and the values that break it.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for LedgerFault {}
