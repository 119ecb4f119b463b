//! Checkpoints in memory, for the simulation: the same rows, generations and verification as over
//! sled, and crashes that keep any subset of the unflushed changes.
//!
//! Deterministic for a given seed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generations::Generations;
use super::table::{Table, Visit};
use super::{CheckpointError, Checkpoints, Marker, Row};

/// A checkpoint whose bytes outlive the handle: [`Self::reopen`] opens the next handle.
pub struct MemoryCheckpoints {
    bytes: Arc<Mutex<MemoryRows>>,
    generations: Generations<MemoryTable>,
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

struct MemoryRows {
    current: Rows,
    flushed: Rows,
    /// Changes since the last flush: a key with its value, or `None` for a removal.
    since_flush: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    finished_note: Option<u64>,
    /// The number of crashes. Handles opened before the last one are invalid.
    crashes: u64,
    /// How many more writes and flushes succeed; `None` for all.
    writes_left: Option<u64>,
    random: u64,
}

struct MemoryTable {
    bytes: Arc<Mutex<MemoryRows>>,
    opened_at_crash: u64,
}

impl MemoryCheckpoints {
    /// An empty checkpoint.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_rows(Arc::new(Mutex::new(MemoryRows {
            current: Rows::new(),
            flushed: Rows::new(),
            since_flush: Vec::new(),
            finished_note: None,
            crashes: 0,
            writes_left: None,
            random: seed,
        })))
    }

    fn with_rows(bytes: Arc<Mutex<MemoryRows>>) -> Self {
        let opened_at_crash = lock(&bytes).crashes;
        let table = MemoryTable { bytes: Arc::clone(&bytes), opened_at_crash };
        Self { bytes, generations: Generations::new(table) }
    }

    /// Opens the same bytes again, as a restarted process would.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self::with_rows(Arc::clone(&self.bytes))
    }

    /// Lets this many more writes and flushes succeed; all later ones fail until the next crash.
    pub fn fail_after(&self, writes: u64) {
        lock(&self.bytes).writes_left = Some(writes);
    }

    /// Simulates a power cut: any subset of the unflushed changes stays. Older handles become
    /// invalid.
    pub fn crash(&self) {
        let mut bytes = lock(&self.bytes);
        for (key, value) in std::mem::take(&mut bytes.since_flush) {
            if bytes.next_random().is_multiple_of(2) {
                apply_change(&mut bytes.flushed, key, value);
            }
        }
        bytes.current = bytes.flushed.clone();
        bytes.writes_left = None;
        bytes.crashes += 1;
    }

    /// Flips one bit in one row or marker, if there is one. The next load detects it.
    pub fn flip_a_bit(&self) {
        let mut bytes = lock(&self.bytes);
        let (which, bit) = (bytes.next_random(), bytes.next_random());
        let Some(row) = pick_index(which, bytes.current.len()) else {
            return;
        };
        let (key, mut value) =
            bytes.current.iter().nth(row).map(|(k, v)| (k.clone(), v.clone())).expect("picked");
        let bit = pick_index(bit, value.len() * 8).expect("no row is empty");
        value[bit / 8] ^= 1 << (bit % 8);
        bytes.current.insert(key.clone(), value.clone());
        bytes.flushed.insert(key, value);
    }

    /// The stored versions of the row with this key.
    #[cfg(test)]
    pub(crate) fn bytes_of(&self, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let name = &key[..key.len() - 1];
        let bytes = lock(&self.bytes);
        let versions = bytes.current.iter().filter(|(key, _)| key.starts_with(name));
        versions.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Restores earlier versions without the table's interface.
    #[cfg(test)]
    pub(crate) fn bring_back(&self, versions: Vec<(Vec<u8>, Vec<u8>)>) {
        lock(&self.bytes).current.extend(versions);
    }

    /// The number of stored versions of rows, markers included.
    #[cfg(test)]
    pub(crate) fn versions(&self) -> usize {
        lock(&self.bytes).current.len()
    }

    /// Removes everything, as setting the folder aside does. Older handles become invalid.
    pub fn remove_all(&self) {
        let mut bytes = lock(&self.bytes);
        bytes.current.clear();
        bytes.flushed.clear();
        bytes.since_flush.clear();
        bytes.finished_note = None;
        bytes.crashes += 1;
    }
}

impl Checkpoints for MemoryCheckpoints {
    fn begin(&mut self, all: bool) -> Result<u64, CheckpointError> {
        self.generations.begin(all)
    }

    fn put(&mut self, rows: &[Row]) -> Result<(), CheckpointError> {
        self.generations.put(rows)
    }

    fn finish(&mut self, marker: Marker) -> Result<(), CheckpointError> {
        self.generations.finish(marker)
    }

    fn load(
        &mut self,
        each: &mut dyn FnMut(Row) -> Result<(), String>,
    ) -> Result<Option<Marker>, CheckpointError> {
        self.generations.load(&mut |row| each(row).map_err(CheckpointError::Refused))
    }
}

impl MemoryTable {
    fn lock_for_read(&self) -> Result<MutexGuard<'_, MemoryRows>, CheckpointError> {
        let bytes = lock(&self.bytes);
        if bytes.crashes == self.opened_at_crash {
            return Ok(bytes);
        }
        Err(CheckpointError::Closed("this handle was opened before the crash".into()))
    }

    fn lock_for_write(&self) -> Result<MutexGuard<'_, MemoryRows>, CheckpointError> {
        let mut bytes = self.lock_for_read()?;
        if let Some(left) = bytes.writes_left {
            bytes.writes_left = Some(
                left.checked_sub(1).ok_or(io::ErrorKind::StorageFull).map_err(io::Error::from)?,
            );
        }
        Ok(bytes)
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CheckpointError> {
        Ok(self.lock_for_read()?.current.get(key).cloned())
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), CheckpointError> {
        self.lock_for_write()?.write(key, Some(value.to_vec()));
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), CheckpointError> {
        self.lock_for_write()?.write(key, None);
        Ok(())
    }

    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), CheckpointError> {
        self.lock_for_read()?
            .current
            .range(from.to_vec()..)
            .try_for_each(|(key, value)| visit(key, value))
    }

    fn flush(&mut self) -> Result<(), CheckpointError> {
        let mut bytes = self.lock_for_write()?;
        for (key, value) in std::mem::take(&mut bytes.since_flush) {
            apply_change(&mut bytes.flushed, key, value);
        }
        Ok(())
    }

    fn write_finished(&mut self, generation: u64) -> Result<(), CheckpointError> {
        self.lock_for_write()?.finished_note = Some(generation);
        Ok(())
    }

    fn read_finished(&self) -> Result<Option<u64>, CheckpointError> {
        Ok(self.lock_for_read()?.finished_note)
    }
}

impl MemoryRows {
    fn write(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        apply_change(&mut self.current, key.to_vec(), value.clone());
        self.since_flush.push((key.to_vec(), value));
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn apply_change(rows: &mut Rows, key: Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => rows.insert(key, value),
        None => rows.remove(&key),
    };
}

fn pick_index(random: u64, count: usize) -> Option<usize> {
    let count = u64::try_from(count).ok()?;
    usize::try_from(random.checked_rem(count)?).ok()
}

/// A poisoned lock is safe to use: rows are changed whole, and the load verifies them.
fn lock(bytes: &Mutex<MemoryRows>) -> MutexGuard<'_, MemoryRows> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balances::tests::samples::{Book, Random, read, write};

    /// A store that loses the newest version of a row restores the one before. Counts and sums
    /// agree if both sides of a transfer are lost; the digest doesn't.
    #[test]
    fn a_row_that_came_back_from_the_past_is_damage() {
        let mut checkpoints = MemoryCheckpoints::new(1);
        let mut random = Random(6);
        let mut book = Book::default();
        for _ in 0..2 {
            let changed = book.change(&mut random, 20);
            write(&mut checkpoints, &book, &changed).unwrap();
        }
        assert_eq!(read(&mut checkpoints.reopen()).unwrap().1, book);

        let whole = lock(&checkpoints.bytes).current.clone();
        let has_both = |key: &&Vec<u8>| {
            let mut other = (*key).clone();
            *other.last_mut().unwrap() ^= 1;
            key[0] != crate::balances::rows::KIND_MARKER && whole.contains_key(&other)
        };
        let mut tried = 0;
        for key in whole.keys().filter(has_both) {
            lock(&checkpoints.bytes).current.remove(key);
            match read(&mut checkpoints.reopen()) {
                // This was the older version, which isn't needed.
                Ok((_, found)) => assert_eq!(found, book),
                Err(error) => {
                    assert!(error.is_damage(), "{error}");
                    tried += 1;
                }
            }
            lock(&checkpoints.bytes).current = whole.clone();
        }
        assert!(tried > 3, "only {tried} rows had two versions");

        // All rows of the newest generation at once: the sums agree, but the rows are old.
        let generation = |value: &[u8]| u64::from_le_bytes(*value[1..].first_chunk().unwrap());
        let is_old =
            |key: &Vec<u8>| key[0] == crate::balances::rows::KIND_MARKER || !has_both(&key);
        lock(&checkpoints.bytes).current.retain(|key, value| is_old(key) || generation(value) < 2);
        assert!(read(&mut checkpoints.reopen()).unwrap_err().is_damage());
    }
}
