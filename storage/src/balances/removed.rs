//! Sweeps removed entries.
//!
//! A removal is first a version like any other, with an empty value: until its generation's marker
//! is written, the version before counts. Afterwards neither is needed and both are removed, the
//! older one first and durably: if a crash left it alone, it would be live again.

use super::CheckpointError;
use super::generations::{Generations, set_slot};
use super::load::RowWalk;
use super::rows::{KIND_ENTRY, Row};
use super::table::Table;

/// The most keys held in memory; if there are more, the entries are walked again.
const REMOVED_MAX: usize = 1 << 16;

/// Keys of entries that may be swept once the generation is finished. Only a hint: each entry is
/// looked up again, since it may have been put again.
#[derive(Default)]
pub(crate) struct RemovedKeys(Vec<Vec<u8>>);

impl RemovedKeys {
    pub(crate) fn add_key(&mut self, key: Vec<u8>) {
        if !self.is_full() {
            self.0.push(key);
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() == REMOVED_MAX
    }
}

impl<T: Table> Generations<T> {
    /// Sweeps the entries removed up to this generation, the newest finished one. There must be no
    /// newer versions.
    pub(crate) fn sweep_removed(
        &mut self,
        mut removed: RemovedKeys,
        generation: u64,
    ) -> Result<(), CheckpointError> {
        while !removed.0.is_empty() {
            for key in &mut removed.0 {
                if let Some(slot) = self.slot_if_gone(key)? {
                    set_slot(key, 1 - slot);
                    self.table.remove(key)?;
                }
            }
            self.table.flush()?;
            for key in &mut removed.0 {
                if let Some(slot) = self.slot_if_gone(key)? {
                    set_slot(key, slot);
                    self.table.remove(key)?;
                }
            }
            if !removed.is_full() {
                break;
            }
            removed = self.find_removed(generation)?;
        }
        Ok(())
    }

    /// Some of the live entries without a version of this generation, the draft's; empty if there
    /// are no more.
    pub(crate) fn entries_before(
        &self,
        generation: u64,
    ) -> Result<Vec<(u8, u128)>, CheckpointError> {
        let mut others: Vec<(u8, u128)> = Vec::new();
        let mut walk = RowWalk::new(generation);
        let mut each = |row, of: u64| {
            if let Row::Entry { table, key, .. } = row
                && of < generation
                && others.len() < REMOVED_MAX
            {
                others.push((table, key));
            }
            Ok(())
        };
        self.table.scan(&[KIND_ENTRY], &mut |key, value| walk.visit(key, value, &mut each))?;
        walk.finish_row(&mut each)?;
        Ok(others)
    }

    /// The slot of the newest version, if that is a removal.
    fn slot_if_gone(&self, key: &mut [u8]) -> Result<Option<usize>, CheckpointError> {
        let newest = self.newest_version(key)?;
        Ok(newest.filter(|(_, version)| version.row.is_removal()).map(|(slot, _)| slot))
    }

    fn find_removed(&self, generation: u64) -> Result<RemovedKeys, CheckpointError> {
        let mut walk = RowWalk::new(generation);
        self.table
            .scan(&[KIND_ENTRY], &mut |key, value| walk.visit(key, value, &mut |_, _| Ok(())))?;
        walk.finish_row(&mut |_, _| Ok(()))?;
        Ok(walk.removed)
    }
}

#[cfg(test)]
mod tests;
