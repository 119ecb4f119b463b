//! Writes a generation so that the one before survives a crash at any point.
//!
//! A row's two slots hold its two newest versions. A new version overwrites the older of the two,
//! or the one that the same generation put before; the newest version of the finished generation is
//! never overwritten. The removal of an entry is such a version too, until it is swept (`removed`).

use super::removed::RemovedKeys;
use super::rows::marker::MarkerRow;
use super::rows::totals::{Totals, damaged_row};
use super::rows::{self, Row, RowHash};
use super::table::Table;
use super::{CheckpointError, Marker};

pub(crate) struct Generations<T> {
    pub(crate) table: T,
    pub(crate) finished: Option<Finished>,
    pub(crate) draft: Option<Draft>,
}

/// The newest finished generation, once loaded. Generation 0 is the empty one before the first.
#[derive(Clone)]
pub(crate) struct Finished {
    pub(crate) generation: u64,
    pub(crate) totals: Totals,
}

/// The generation being written.
pub(crate) struct Draft {
    generation: u64,
    totals: Totals,
    removed: RemovedKeys,
    /// Entries that it doesn't put are removed.
    all: bool,
}

/// A version of a row, in one slot.
pub(crate) struct RowVersion {
    generation: u64,
    pub(crate) row: Row,
    hash: RowHash,
}

impl<T: Table> Generations<T> {
    pub(crate) fn new(table: T) -> Self {
        Self { table, finished: None, draft: None }
    }

    pub(crate) fn begin(&mut self, all: bool) -> Result<u64, CheckpointError> {
        let finished = match self.finished.take() {
            Some(finished) if self.draft.is_none() => finished,
            // Never loaded, or a draft was abandoned: its rows must be removed, or they would
            // count.
            _ => {
                self.load(&mut |_| Ok(()))?;
                self.finished.take().expect("load sets the finished generation")
            }
        };
        self.finished = Some(finished.clone());
        let generation = finished.generation.checked_add(1).expect("2^64 generations");
        let removed = RemovedKeys::default();
        self.draft = Some(Draft { generation, totals: finished.totals, removed, all });
        Ok(generation)
    }

    pub(crate) fn put(&mut self, rows: &[Row]) -> Result<(), CheckpointError> {
        for row in rows {
            row.check_size()?;
        }
        let Some(mut draft) = self.draft.take() else {
            return Err(CheckpointError::OutOfOrder("put without begin".into()));
        };
        // In key order, neighbours share pages. The sort is stable: the last row wins.
        let mut keyed: Vec<_> = rows.iter().map(|row| (row.key(), row)).collect();
        keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
        let put = keyed.into_iter().try_for_each(|(key, row)| self.put_row(&mut draft, key, row));
        self.draft = Some(draft);
        put
    }

    fn put_row(
        &mut self,
        draft: &mut Draft,
        mut key: Vec<u8>,
        row: &Row,
    ) -> Result<(), CheckpointError> {
        let versions = [self.read_version(&mut key, 0)?, self.read_version(&mut key, 1)?];
        let generations = versions.each_ref().map(|version| version.as_ref().map(|v| v.generation));
        if generations[0].is_some() && generations[0] == generations[1]
            || generations.iter().flatten().any(|generation| *generation > draft.generation)
        {
            return Err(CheckpointError::Damaged(format!(
                "generation {} meets a row with the generations {generations:?}",
                draft.generation
            )));
        }

        let newest = newest_slot(&generations);
        let mut slot = 1 - newest;
        let mut was_living = false;
        if let Some(version) = &versions[newest] {
            was_living = !version.row.is_removal();
            if was_living {
                draft.totals.remove_row(&version.row, &version.hash);
            }
            if version.generation == draft.generation {
                slot = newest;
            }
        }
        if row.is_removal() && !was_living {
            return Ok(());
        }
        set_slot(&mut key, slot);
        let (value, hash) = rows::seal(&key, draft.generation, &row.encode_fields());
        self.table.insert(&key, &value)?;
        if row.is_removal() {
            draft.removed.add_key(key);
        } else {
            draft.totals.add_row(row, &hash);
        }
        Ok(())
    }

    /// Removes the entries that a generation of all rows didn't put.
    fn remove_all_others(&mut self) -> Result<(), CheckpointError> {
        while let Some(mut draft) = self.draft.take() {
            let others = self.entries_before(draft.generation);
            let removed = others.and_then(|others| {
                let is_over = others.is_empty();
                for (table, key) in others {
                    let gone = Row::Entry { table, key, value: Vec::new() };
                    self.put_row(&mut draft, gone.key(), &gone)?;
                }
                Ok(is_over)
            });
            self.draft = Some(draft);
            if removed? {
                break;
            }
        }
        Ok(())
    }

    /// The slot with the newest version of the row, and that version.
    pub(crate) fn newest_version(
        &self,
        key: &mut [u8],
    ) -> Result<Option<(usize, RowVersion)>, CheckpointError> {
        let mut versions = [self.read_version(key, 0)?, self.read_version(key, 1)?];
        let generations = versions.each_ref().map(|version| version.as_ref().map(|v| v.generation));
        let newest = newest_slot(&generations);
        Ok(versions[newest].take().map(|version| (newest, version)))
    }

    fn read_version(
        &self,
        key: &mut [u8],
        slot: usize,
    ) -> Result<Option<RowVersion>, CheckpointError> {
        set_slot(key, slot);
        let Some(value) = self.table.get(key)? else {
            return Ok(None);
        };
        let read = || {
            let unsealed = rows::unseal(key, &value)?;
            let row = Row::read(key, unsealed.fields)?;
            Ok(RowVersion { generation: unsealed.generation, row, hash: unsealed.hash })
        };
        read().map(Some).map_err(|error| damaged_row(key, error))
    }

    pub(crate) fn finish(&mut self, marker: Marker) -> Result<(), CheckpointError> {
        let Some(draft) = &self.draft else {
            return Err(CheckpointError::OutOfOrder("finish without begin".into()));
        };
        if marker.generation != draft.generation {
            return Err(CheckpointError::OutOfOrder(format!(
                "a marker of generation {} in generation {}",
                marker.generation, draft.generation
            )));
        }
        if draft.all {
            self.remove_all_others()?;
        }
        let Some(draft) = &self.draft else {
            return Err(CheckpointError::OutOfOrder("finish without begin".into()));
        };
        let row = MarkerRow::new(marker, &draft.totals)?;

        self.table.flush()?;
        self.table.insert(&MarkerRow::key(draft.generation), &row.encode_value())?;
        self.table.flush()?;
        self.table.write_finished(draft.generation)?;
        let Draft { generation, totals, removed, .. } = self.draft.take().expect("checked above");
        // Set again when the sweep is done; after an error the next `begin` loads.
        self.finished = None;
        self.sweep_removed(removed, generation)?;
        self.finished = Some(Finished { generation, totals });
        Ok(())
    }
}

/// The slot with the newest version. `None` sorts below every generation, so an empty slot is the
/// older one.
fn newest_slot(generations: &[Option<u64>; 2]) -> usize {
    usize::from(generations[1] > generations[0])
}

pub(crate) fn set_slot(key: &mut [u8], slot: usize) {
    *key.last_mut().expect("a key is never empty") = u8::from(slot == 1);
}
