//! Every request ends in exactly one reply, by its deadline, as long as the site that took it lives.

use std::time::Duration;

use super::CheckResult;

/// How long after its deadline a reply may still be on its way through the site's queues.
pub const SLACK: Duration = Duration::from_millis(250);

/// A request got no reply in time from a site that lives.
///
/// # Errors
/// Always: that's what is wrong.
pub fn missing_reply(node: u64, deadline: Duration) -> CheckResult {
    Err(format!(
        "answered: node {node} gave no reply within a deadline of {deadline:?} + {SLACK:?}"
    ))
}
