//! Loads the newest finished generation, and removes the rows of an unfinished one.
//!
//! Everything is checked: each row's checksum, then the count, the sums and the digest of the live
//! rows against the marker. Only rows newer than the marker and remains of removed entries are
//! deleted, and only after all other checks passed.

use super::generations::{Finished, Generations};
use super::removed::RemovedKeys;
use super::rows::marker::MarkerRow;
use super::rows::totals::{Totals, damaged_row};
use super::rows::{self, KIND_MARKER, Row, RowHash};
use super::table::Table;
use super::{CheckpointError, Marker};

/// The most keys of an unfinished generation held in memory; if there are more, the table is walked
/// again.
const LEFTOVERS_MAX: usize = 1 << 16;

/// Called by `load` with each live row.
pub(crate) type RowVisitor<'a> = &'a mut dyn FnMut(Row) -> Result<(), CheckpointError>;
/// Called with each live row and its generation.
type VersionVisitor<'a> = &'a mut dyn FnMut(Row, u64) -> Result<(), CheckpointError>;

impl<T: Table> Generations<T> {
    pub(crate) fn load(&mut self, each: RowVisitor<'_>) -> Result<Option<Marker>, CheckpointError> {
        self.finished = None;
        self.draft = None;
        let marker = self.read_marker()?;
        let generation = marker.as_ref().map_or(0, |row| row.marker.generation);

        let mut walk = RowWalk::new(generation);
        let mut each = |row, _| each(row);
        self.table.scan(&[], &mut |key, value| walk.visit(key, value, &mut each))?;
        walk.finish_row(&mut each)?;
        if let Some(marker) = &marker {
            marker.verify(&walk.totals)?;
        }
        match self.table.read_finished()? {
            Some(noted) if noted > generation => {
                return Err(CheckpointError::Damaged(format!(
                    "generation {noted} was finished here, and the newest marker is of {generation}"
                )));
            }
            _ => {}
        }
        self.remove_leftovers(walk.leftovers, generation)?;
        self.sweep_removed(walk.removed, generation)?;
        self.finished = Some(Finished { generation, totals: walk.totals });
        Ok(marker.map(|row| row.marker))
    }

    fn read_marker(&self) -> Result<Option<MarkerRow>, CheckpointError> {
        let mut newest: Option<MarkerRow> = None;
        for key in [MarkerRow::key(0), MarkerRow::key(1)] {
            let Some(value) = self.table.get(&key)? else { continue };
            let row = MarkerRow::read(&key, &value).map_err(|error| damaged_row(&key, error))?;
            if newest.as_ref().is_none_or(|other| other.marker.generation < row.marker.generation) {
                newest = Some(row);
            }
        }
        Ok(newest)
    }

    fn remove_leftovers(
        &mut self,
        mut leftovers: Vec<Vec<u8>>,
        generation: u64,
    ) -> Result<(), CheckpointError> {
        while !leftovers.is_empty() {
            for key in &leftovers {
                self.table.remove(key)?;
            }
            self.table.flush()?;
            if leftovers.len() < LEFTOVERS_MAX {
                break;
            }
            let mut walk = RowWalk::new(generation);
            self.table.scan(&[], &mut |key, value| walk.visit(key, value, &mut |_, _| Ok(())))?;
            leftovers = walk.leftovers;
        }
        Ok(())
    }
}

/// A walk over all rows in key order: the versions of one row follow each other.
pub(crate) struct RowWalk {
    generation: u64,
    totals: Totals,
    leftovers: Vec<Vec<u8>>,
    pub(crate) removed: RemovedKeys,
    last_key: Vec<u8>,
    /// The newest version so far of the current row.
    living: Option<LiveRow>,
}

struct LiveRow {
    key: Vec<u8>,
    generation: u64,
    fields: Vec<u8>,
    hash: RowHash,
}

impl RowWalk {
    pub(crate) fn new(generation: u64) -> Self {
        let (totals, leftovers, removed, last_key) = Default::default();
        Self { generation, totals, leftovers, removed, last_key, living: None }
    }

    pub(crate) fn visit(
        &mut self,
        key: &[u8],
        value: &[u8],
        each: VersionVisitor<'_>,
    ) -> Result<(), CheckpointError> {
        if key <= self.last_key.as_slice() {
            return Err(CheckpointError::Damaged("keys are out of order".into()));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if key.len() == 2 && key[0] == KIND_MARKER && key[1] <= 1 {
            return Ok(());
        }

        let row = rows::unseal(key, value).map_err(|error| damaged_row(key, error))?;
        if row.generation > self.generation {
            return self.add_leftover(key, row.generation);
        }
        if let Some(living) = &mut self.living
            && is_same_row(&living.key, key)
        {
            if living.generation == row.generation {
                return Err(CheckpointError::Damaged(format!(
                    "a row has two versions of generation {}",
                    row.generation
                )));
            }
            if living.generation > row.generation {
                return Ok(());
            }
        } else {
            self.finish_row(each)?;
        }
        self.living = Some(LiveRow {
            key: key.to_vec(),
            generation: row.generation,
            fields: row.fields.to_vec(),
            hash: row.hash,
        });
        Ok(())
    }

    /// Notes a row of the unfinished generation. It must be the generation right after the finished
    /// one, or sled has lost a marker.
    fn add_leftover(&mut self, key: &[u8], generation: u64) -> Result<(), CheckpointError> {
        if generation - self.generation > 1 {
            return Err(CheckpointError::Damaged(format!(
                "a row of generation {generation} after a marker of generation {}",
                self.generation
            )));
        }
        if self.leftovers.len() < LEFTOVERS_MAX {
            self.leftovers.push(key.to_vec());
        }
        Ok(())
    }

    /// Finishes the current row, of which no further version follows: its newest version counts.
    pub(crate) fn finish_row(&mut self, each: VersionVisitor<'_>) -> Result<(), CheckpointError> {
        let Some(living) = self.living.take() else {
            return Ok(());
        };
        let row = Row::read(&living.key, &living.fields)
            .map_err(|error| damaged_row(&living.key, error))?;
        if row.is_removal() {
            self.removed.add_key(living.key);
            return Ok(());
        }
        self.totals.add_row(&row, &living.hash);
        each(row, living.generation)
    }
}

/// Whether two keys differ only in the slot.
fn is_same_row(left: &[u8], right: &[u8]) -> bool {
    match (left.split_last(), right.split_last()) {
        (Some((_, left)), Some((_, right))) => left == right,
        _ => false,
    }
}
