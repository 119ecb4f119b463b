//! An acknowledgement to a client means that the disks of two of three sites hold the entry; to a
//! primary, that the follower's own disk does.

use std::collections::BTreeMap;

use evenkeel_storage::journal::Journal;
use evenkeel_wire::{id::NodeId, outcome::Stamp};

use super::CheckResult;

/// What each site's disk holds.
#[derive(Default)]
pub struct Durability {
    disks: BTreeMap<NodeId, DiskView>,
}

struct DiskView {
    /// The journal of the current life.
    journal: Option<Journal>,
    /// What was durable when the last life ended.
    at_death: Option<u64>,
}

impl Durability {
    /// A site has opened its journal.
    pub fn opened(&mut self, node: NodeId, journal: Journal) {
        self.disks.insert(node, DiskView { journal: Some(journal), at_death: None });
    }

    /// A site has died.
    pub fn died(&mut self, node: NodeId) {
        if let Some(disk) = self.disks.get_mut(&node)
            && let Some(journal) = disk.journal.take()
        {
            disk.at_death = journal.durable_position();
        }
    }

    fn holds(&self, node: NodeId, position: u64, link: Option<&[u8; 32]>) -> bool {
        let Some(disk) = self.disks.get(&node) else { return false };
        let Some(journal) = &disk.journal else { return disk.at_death >= Some(position) };
        journal.durable_position() >= Some(position)
            && link.is_none_or(
                |link| matches!(journal.tip_at(position), Ok(Some(tip)) if tip.link.0 == *link),
            )
    }

    /// Checks an outcome that a client is sent.
    ///
    /// # Errors
    /// When fewer than a majority of disks hold it.
    pub fn check_acknowledged(&self, by: NodeId, stamp: &Stamp) -> CheckResult {
        let holding: Vec<NodeId> = self
            .disks
            .keys()
            .copied()
            .filter(|node| self.holds(*node, stamp.position, Some(&stamp.link)))
            .collect();
        if holding.len() >= 2 {
            return Ok(());
        }
        Err(format!(
            "durable: node {by} acknowledged position {}, durable only on {holding:?}",
            stamp.position
        ))
    }

    /// Checks a follower's report to its primary: it holds everything up to a position.
    ///
    /// # Errors
    /// When its disk doesn't hold that.
    pub fn check_appended(&self, node: NodeId, position: u64) -> CheckResult {
        if self.holds(node, position, None) {
            return Ok(());
        }
        let durable =
            self.disks.get(&node).and_then(|disk| disk.journal.as_ref()?.durable_position());
        Err(format!(
            "durable: node {node} reported to its primary that it holds {position}, its disk holds \
         {durable:?}"
        ))
    }
}
