//! Committed records never change and are the same on all sites: equal positions, equal links
//! (Raft §5.4, State Machine Safety).

use std::sync::Arc;

use evenkeel_storage::journal::Record;
use evenkeel_wire::id::NodeId;

/// The one chain, as the sites' applied entries show it.
#[derive(Default)]
pub struct Chain {
    records: Vec<Arc<Record>>,
}

impl Chain {
    /// Adds a record that a site has applied. True: it's the first site to apply it.
    ///
    /// # Errors
    /// When another record was applied at its position before.
    pub fn add_applied(&mut self, node: NodeId, record: &Arc<Record>) -> Result<bool, String> {
        let position = record.position;
        match self.record_at(position) {
            Some(known) if known.link == record.link && known.term == record.term => Ok(false),
            Some(known) => Err(format!(
                "chain: node {node} applied position {position} of term {} and link {}, before \
                 it was term {} and link {}",
                record.term, record.link, known.term, known.link
            )),
            None if position == self.len() => {
                self.records.push(record.clone());
                Ok(true)
            }
            None => Err(format!(
                "chain: node {node} applied position {position}, but no site has applied {}",
                self.len()
            )),
        }
    }

    /// How many records are known.
    pub fn len(&self) -> u64 {
        u64::try_from(self.records.len()).expect("a length fits")
    }

    /// Whether no record is known.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record at a position.
    pub fn record_at(&self, position: u64) -> Option<&Arc<Record>> {
        self.records.get(usize::try_from(position).ok()?)
    }
}
