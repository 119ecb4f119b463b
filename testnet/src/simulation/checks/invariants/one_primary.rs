//! A term has at most one primary: no other node ever sends an append in it (Raft §5.2, Election
//! Safety).

use std::collections::BTreeMap;

use evenkeel_wire::id::NodeId;

use super::CheckResult;

#[derive(Default)]
pub struct OnePrimary {
    by_term: BTreeMap<u64, NodeId>,
}

impl OnePrimary {
    /// Checks the sender of an append.
    ///
    /// # Errors
    /// When another node sent one in this term.
    pub fn check_speaker(&mut self, term: u64, node: NodeId) -> CheckResult {
        let first = *self.by_term.entry(term).or_insert(node);
        if first == node {
            return Ok(());
        }
        Err(format!("one primary: nodes {first} and {node} both lead term {term}"))
    }

    /// How many terms had a primary.
    pub fn terms(&self) -> usize {
        self.by_term.len()
    }
}
