//! Poisoning: after one failed write or sync the journal stops permanently.
//!
//! The kernel marks pages clean when a sync fails, so a second sync could succeed without having
//! written them. So nothing is retried: every call and every waiting completion gets the first
//! reason, and the process should exit.

use std::sync::Arc;

/// The journal has stopped.
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
