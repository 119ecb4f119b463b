//! A checkpoint is never ahead of the journal beside it: after any crash its marker is a record of
//! the recovered chain, the end of a sealed segment, and its rows add up to its digest.

use evenkeel_node::replay::recovery::RecoveryReport;
use evenkeel_wire::id::NodeId;

use super::CheckResult;

/// Checks a start after a crash.
///
/// # Errors
/// When the site couldn't use its checkpoint although nothing damaged it.
pub fn check_start(node: NodeId, report: &RecoveryReport, last: Option<u64>) -> CheckResult {
    if let Some(why) = &report.checkpoint_refused {
        return Err(format!("checkpoint: node {node} refused its own: {why}"));
    }
    if report.checkpoint > last {
        return Err(format!(
            "checkpoint: node {node} loaded position {:?}, its journal ends at {last:?}",
            report.checkpoint
        ));
    }
    Ok(())
}
