//! Sorted tables: what the ledger remembers by a number besides accounts, with its digest kept along.
//!
//! Sorted, because a checkpoint then walks a table in slices from key to key, whatever comes and goes meanwhile, and no
//! row has to carry what the walk must know of it. A row that the walk still needs is set aside the moment before it
//! changes. The order of hashes never shows, a row that was taken back leaves nothing behind, and growing never takes
//! long. A row takes about twice the bytes of its key and value: 42 to 52 for a refunded total.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::mix::{ROOTS, fold, halves};

/// What a table holds under a key.
pub(crate) trait TableValue: Clone + PartialEq {
    /// Its digest.
    fn digest(&self) -> u64;
    /// As a checkpoint keeps it; never empty.
    fn encode(&self) -> Vec<u8>;
    /// Out of a checkpoint: nothing is believed.
    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String>;
}

/// Rows by key.
#[derive(Debug)]
pub(crate) struct SortedTable<V> {
    rows: BTreeMap<u128, V>,
    /// The sum of all rows' digests.
    digest: u64,
    /// The keys that changed since the last checkpoint that was written; `None`: there is none.
    changed: Option<BTreeSet<u128>>,
    /// The next checkpoint must be of all rows.
    all_needed: bool,
    walk: Option<TableCopy<V>>,
    audit: Option<TableAudit>,
}

/// A running audit.
#[derive(Debug, Default)]
struct TableAudit {
    /// The last key that was looked at.
    last: Option<u128>,
    digest: u64,
}

/// A checkpoint that is being copied.
#[derive(Debug)]
struct TableCopy<V> {
    /// Whether there is an earlier one that was written: what was taken away since must be told.
    has_base: bool,
    /// For a copy of all rows: those behind this one are still to be looked at.
    behind: Option<Bound<u128>>,
    /// The keys that had changed and are still to be copied.
    left: BTreeSet<u128>,
    /// Those that are copied.
    done: Vec<u128>,
    /// Rows that changed before the walk came to them, as they were: `None` wasn't there.
    set_aside: BTreeMap<u128, Option<V>>,
}

impl<V: TableValue> Default for SortedTable<V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            digest: 0,
            changed: None,
            all_needed: false,
            walk: None,
            audit: None,
        }
    }
}

impl<V: TableValue> SortedTable<V> {
    pub(crate) fn get(&self, key: u128) -> Option<&V> {
        self.rows.get(&key)
    }

    /// The row with the largest key up to this one.
    pub(crate) fn last_up_to(&self, key: u128) -> Option<(u128, &V)> {
        self.rows.range(..=key).next_back().map(|(key, value)| (*key, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u128, &V)> {
        self.rows.iter().map(|(key, value)| (*key, value))
    }

    /// The sum of all rows' digests.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Sets a row, or takes it away with `None`. Gives back what was there: setting that again undoes it without a trace.
    pub(crate) fn set(&mut self, key: u128, value: Option<V>) -> Option<V> {
        let added = value.as_ref().map_or(0, |value| row_digest(key, value));
        let before = match value {
            Some(value) => self.rows.insert(key, value),
            None => self.rows.remove(&key),
        };
        let removed = before.as_ref().map_or(0, |before| row_digest(key, before));
        let change = added.wrapping_sub(removed);
        self.digest = self.digest.wrapping_add(change);
        if let Some(audit) = &mut self.audit
            && audit.last.is_some_and(|last| key <= last)
        {
            audit.digest = audit.digest.wrapping_add(change);
        }
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
        if let Some(walk) = &mut self.walk
            && walk.needs(key)
        {
            walk.set_aside.entry(key).or_insert_with(|| before.clone());
        }
        before
    }

    /// Takes a row out of a checkpoint.
    pub(crate) fn load(&mut self, key: u128, bytes: &[u8]) -> Result<(), String> {
        if self.rows.contains_key(&key) {
            return Err("it's there twice".into());
        }
        self.set(key, Some(V::decode(key, bytes)?));
        Ok(())
    }

    /// Looks at the next rows, at most `left` of them, and counts `left` down; `check` says whether a row alone is sound.
    /// `None`: there are more. Else whether all of them are sound and amount to the digest that was kept along.
    pub(crate) fn audit_next(
        &mut self,
        left: &mut usize,
        check: &mut dyn FnMut(u128, &V) -> bool,
    ) -> Option<bool> {
        let mut audit = self.audit.take().unwrap_or_default();
        let from = audit.last.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.rows.range((from, Bound::Unbounded)) {
            if *left == 0 {
                self.audit = Some(audit);
                return None;
            }
            *left = left.wrapping_sub(1);
            if !check(*key, value) {
                return Some(false);
            }
            audit.digest = audit.digest.wrapping_add(row_digest(*key, value));
            audit.last = Some(*key);
        }
        Some(audit.digest == self.digest)
    }

    /// The rows are those of a finished checkpoint.
    pub(crate) fn mark_checkpointed(&mut self) {
        self.changed = Some(BTreeSet::new());
        self.all_needed = false;
    }

    /// Begins a checkpoint of all rows, or of those that changed since the last finished one. One that is still being
    /// copied counts as not written.
    pub(crate) fn checkpoint_begin(&mut self, all: bool) {
        self.checkpoint_end(false);
        let changed = self.changed.replace(BTreeSet::new());
        let has_base = changed.is_some();
        let all_needed = std::mem::take(&mut self.all_needed);
        let all = all || all_needed || !has_base;
        self.walk = Some(TableCopy {
            has_base,
            behind: all.then_some(Bound::Unbounded),
            left: changed.unwrap_or_default(),
            done: Vec::new(),
            set_aside: BTreeMap::new(),
        });
    }

    /// Copies the next rows as they were when the checkpoint began, at most `left` of them, and counts `left` down. A row
    /// that was taken away since the last checkpoint is copied as an empty value.
    pub(crate) fn checkpoint_next(&mut self, left: &mut usize, put: &mut dyn FnMut(u128, Vec<u8>)) {
        let Some(walk) = &mut self.walk else { return };
        while *left > 0
            && let Some((key, value, had_changed)) = walk.next_row(&self.rows)
        {
            *left = left.wrapping_sub(1);
            match value {
                Some(value) => put(key, value.encode()),
                None if had_changed => put(key, Vec::new()),
                // It came after the checkpoint began.
                None => {}
            }
        }
        if walk.next_key(&self.rows).is_none() {
            // What comes behind the last key from now on is no part of the checkpoint.
            walk.behind = None;
        }
    }

    /// Whether every row that the checkpoint consists of is copied.
    pub(crate) fn checkpoint_is_over(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.next_key(&self.rows).is_none())
    }

    /// Ends a checkpoint. Unless it was copied to its end and written, the next one consists of all rows, and tells
    /// everything that was taken away since the last one that was written.
    pub(crate) fn checkpoint_end(&mut self, written: bool) {
        let is_over = self.checkpoint_is_over();
        let Some(walk) = self.walk.take() else { return };
        if written && is_over {
            return;
        }
        self.all_needed = true;
        let changed = self.changed.take().filter(|_| walk.has_base);
        self.changed = changed.map(|mut changed| {
            changed.extend(walk.left);
            changed.extend(walk.done);
            changed
        });
    }
}

impl<V: TableValue> TableCopy<V> {
    /// The next key to look at, and whether the walk over all rows meets it.
    fn next_key(&self, rows: &BTreeMap<u128, V>) -> Option<(u128, bool)> {
        if let Some(after) = self.behind {
            let range = (after, Bound::Unbounded);
            let there = rows.range(range).next().map(|(key, _)| *key);
            let was_there = self.set_aside.range(range).next().map(|(key, _)| *key);
            if let Some(key) = there.into_iter().chain(was_there).min() {
                return Some((key, true));
            }
        }
        self.left.first().map(|key| (*key, false))
    }

    /// The next row, as it was, and whether it had changed since the last checkpoint that was written.
    fn next_row(&mut self, rows: &BTreeMap<u128, V>) -> Option<(u128, Option<V>, bool)> {
        let (key, is_met) = self.next_key(rows)?;
        self.behind = is_met.then_some(Bound::Excluded(key));
        let had_changed = self.left.remove(&key);
        if had_changed {
            self.done.push(key);
        }
        let value = match self.set_aside.remove(&key) {
            Some(as_it_was) => as_it_was,
            None => rows.get(&key).cloned(),
        };
        Some((key, value, had_changed))
    }

    /// Whether a row is still to be copied as it was when the checkpoint began.
    fn needs(&self, key: u128) -> bool {
        let is_ahead = match self.behind {
            Some(Bound::Excluded(last)) => key > last,
            Some(_) => true,
            None => false,
        };
        is_ahead || self.left.contains(&key)
    }
}

fn row_digest<V: TableValue>(key: u128, value: &V) -> u64 {
    let (low, high) = halves(key);
    let key = fold(low ^ ROOTS[0], high ^ ROOTS[1]);
    fold(key ^ ROOTS[2], value.digest() ^ ROOTS[3])
}

#[cfg(test)]
mod tests;
