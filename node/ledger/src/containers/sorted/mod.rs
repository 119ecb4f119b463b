//! Sorted tables for everything besides accounts, with a digest that is updated with every change.
//!
//! They are sorted so that a checkpoint can scan a table in slices, from key to key, while rows are
//! added and removed, without a field for the scan in each row. A row that the scan still needs is
//! set aside before it changes. There is no hash order, an undone change leaves no trace, and
//! growing is never slow. A row takes about twice the bytes of its key and value: 42 to 52 for a
//! refunded total.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::mix::{ROOTS, fold, halves};

/// The value of a row.
pub(crate) trait TableValue: Clone + PartialEq {
    /// Its digest.
    fn digest(&self) -> u64;
    /// The bytes in a checkpoint; never empty.
    fn encode(&self) -> Vec<u8>;
    /// From the bytes in a checkpoint, which aren't trusted.
    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String>;
}

/// Rows by key.
#[derive(Debug)]
pub(crate) struct SortedTable<V> {
    rows: BTreeMap<u128, V>,
    /// The sum of all rows' digests.
    digest: u64,
    /// The keys that changed since the last written checkpoint; `None`: there is none.
    changed: Option<BTreeSet<u128>>,
    /// The next checkpoint must consist of all rows.
    all_needed: bool,
    copy: Option<TableCopy<V>>,
    audit: Option<TableAudit>,
}

/// A running audit.
#[derive(Debug, Default)]
struct TableAudit {
    /// The last key that was checked.
    last: Option<u128>,
    digest: u64,
}

/// A checkpoint that is being copied.
#[derive(Debug)]
struct TableCopy<V> {
    /// Whether an earlier checkpoint was written: rows removed since must be reported.
    has_base: bool,
    /// For a copy of all rows: the scan continues after this bound.
    after: Option<Bound<u128>>,
    /// The changed keys that aren't copied yet.
    left: BTreeSet<u128>,
    /// The changed keys that are copied.
    done: Vec<u128>,
    /// Rows before their change that the scan hasn't reached; `None`: the row didn't exist.
    set_aside: BTreeMap<u128, Option<V>>,
}

impl<V: TableValue> Default for SortedTable<V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            digest: 0,
            changed: None,
            all_needed: false,
            copy: None,
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

    /// Sets a row, or removes it with `None`. Gives the value before: setting that again undoes the
    /// change without a trace.
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
        if let Some(copy) = &mut self.copy
            && copy.needs(key)
        {
            copy.set_aside.entry(key).or_insert_with(|| before.clone());
        }
        before
    }

    /// Loads a row of a checkpoint.
    pub(crate) fn load(&mut self, key: u128, bytes: &[u8]) -> Result<(), String> {
        if self.rows.contains_key(&key) {
            return Err("it's there twice".into());
        }
        self.set(key, Some(V::decode(key, bytes)?));
        Ok(())
    }

    /// Checks the next rows with `check`, at most `left` of them, and counts `left` down.
    /// `None`: there are more. Else whether all rows are sound and have the table's digest.
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

    /// Begins a checkpoint of all rows, or of those that changed since the last finished one. One
    /// that is still running counts as not written.
    pub(crate) fn checkpoint_begin(&mut self, all: bool) {
        self.checkpoint_end(false);
        let changed = self.changed.replace(BTreeSet::new());
        let has_base = changed.is_some();
        let all_needed = std::mem::take(&mut self.all_needed);
        let all = all || all_needed || !has_base;
        self.copy = Some(TableCopy {
            has_base,
            after: all.then_some(Bound::Unbounded),
            left: changed.unwrap_or_default(),
            done: Vec::new(),
            set_aside: BTreeMap::new(),
        });
    }

    /// Copies the next rows in their state when the checkpoint began, at most `left` of them, and
    /// counts `left` down. A row that was removed since the last checkpoint is an empty value.
    pub(crate) fn checkpoint_next(&mut self, left: &mut usize, put: &mut dyn FnMut(u128, Vec<u8>)) {
        let Some(copy) = &mut self.copy else { return };
        while *left > 0
            && let Some((key, value, had_changed)) = copy.next_row(&self.rows)
        {
            *left = left.wrapping_sub(1);
            match value {
                Some(value) => put(key, value.encode()),
                None if had_changed => put(key, Vec::new()),
                // It was added after the checkpoint began.
                None => {}
            }
        }
        if copy.next_key(&self.rows).is_none() {
            // Rows that are added after the last key from now on aren't part of the checkpoint.
            copy.after = None;
        }
    }

    /// Whether every row that the checkpoint consists of is copied.
    pub(crate) fn checkpoint_is_over(&self) -> bool {
        self.copy.as_ref().is_none_or(|copy| copy.next_key(&self.rows).is_none())
    }

    /// Ends a checkpoint. Unless it was copied to its end and written, the next one consists of all
    /// rows, and reports all rows removed since the last written one.
    pub(crate) fn checkpoint_end(&mut self, written: bool) {
        let is_over = self.checkpoint_is_over();
        let Some(copy) = self.copy.take() else { return };
        if written && is_over {
            return;
        }
        self.all_needed = true;
        let changed = self.changed.take().filter(|_| copy.has_base);
        self.changed = changed.map(|mut changed| {
            changed.extend(copy.left);
            changed.extend(copy.done);
            changed
        });
    }
}

impl<V: TableValue> TableCopy<V> {
    /// The next key, and whether the scan of all rows reaches it.
    fn next_key(&self, rows: &BTreeMap<u128, V>) -> Option<(u128, bool)> {
        if let Some(after) = self.after {
            let range = (after, Bound::Unbounded);
            let present = rows.range(range).next().map(|(key, _)| *key);
            let removed = self.set_aside.range(range).next().map(|(key, _)| *key);
            if let Some(key) = present.into_iter().chain(removed).min() {
                return Some((key, true));
            }
        }
        self.left.first().map(|key| (*key, false))
    }

    /// The next row in its state when the checkpoint began, and whether it had changed since the
    /// last written checkpoint.
    fn next_row(&mut self, rows: &BTreeMap<u128, V>) -> Option<(u128, Option<V>, bool)> {
        let (key, is_scanned) = self.next_key(rows)?;
        self.after = is_scanned.then_some(Bound::Excluded(key));
        let had_changed = self.left.remove(&key);
        if had_changed {
            self.done.push(key);
        }
        let value = match self.set_aside.remove(&key) {
            Some(before) => before,
            None => rows.get(&key).cloned(),
        };
        Some((key, value, had_changed))
    }

    /// Whether the copy still needs a row.
    fn needs(&self, key: u128) -> bool {
        let is_ahead = match self.after {
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
