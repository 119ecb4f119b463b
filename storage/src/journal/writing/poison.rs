//! After one failed write or sync the journal stops for ever.
//!
//! The kernel marks pages clean when a sync fails: a second sync would lie. So nothing is tried again;
//! every call and every waiting completion gets the first reason, and the process is to end.

use std::sync::Arc;

/// The journal has stopped, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has stopped: {reason}")]
pub struct Poisoned {
    /// The first failure.
    pub reason: Arc<str>,
}

impl Poisoned {
    pub(crate) fn new(reason: &str) -> Self {
        Self { reason: reason.into() }
    }
}
