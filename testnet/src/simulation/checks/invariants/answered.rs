//! Every request ends in exactly one reply, by its deadline, as long as the site that
//! accepted it runs.

use std::time::Duration;

use super::CheckResult;

/// How long after its deadline a reply may still be in the site's queues.
pub const SLACK: Duration = Duration::from_millis(250);

/// Reports that a running site gave no reply in time.
///
/// # Errors
/// Always.
pub fn missing_reply(node: u64, deadline: Duration) -> CheckResult {
    Err(format!(
        "answered: node {node} gave no reply within a deadline of {deadline:?} + {SLACK:?}"
    ))
}
