//! Sorted tables: what the ledger remembers by a number besides accounts, with its digest kept along.
//!
//! Sorted, because a checkpoint then walks a table in slices from key to key, whatever comes and goes meanwhile, and no
//! row has to carry what the walk must know of it. A row that the walk still needs is set aside the moment before it
//! changes. The order of hashes never shows, a row that was taken back leaves nothing behind, and growing never takes
//! long. For each row it needs 1.3 to 1.8 times the bytes of key and value.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::mix::{ROOTS, fold, halves};

/// What a table holds under a key.
pub(super) trait Value: Clone + PartialEq {
    /// Its digest.
    fn digest(&self) -> u64;
    /// As a checkpoint keeps it; never empty.
    fn encode(&self) -> Vec<u8>;
    /// Out of a checkpoint: nothing is believed.
    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String>;
}

/// Rows by key.
#[derive(Debug)]
pub(super) struct Sorted<V> {
    rows: BTreeMap<u128, V>,
    /// The sum of all rows' digests.
    digest: u64,
    /// The keys that changed since the last checkpoint began; `None`: the next one must be of all rows.
    changed: Option<BTreeSet<u128>>,
    walk: Option<Walk<V>>,
    audit: Option<Audit>,
}

/// A running audit.
#[derive(Debug, Default)]
struct Audit {
    /// The last key that was looked at.
    last: Option<u128>,
    digest: u64,
}

/// A checkpoint that is being copied.
#[derive(Debug)]
struct Walk<V> {
    keys: Keys,
    /// Rows that changed before the walk came to them, as they were: `None` wasn't there.
    set_aside: BTreeMap<u128, Option<V>>,
}

/// The keys that the walk has yet to look at.
#[derive(Debug)]
enum Keys {
    /// All behind this one.
    Behind(Bound<u128>),
    /// Those that had changed.
    Changed(BTreeSet<u128>),
}

impl<V: Value> Default for Sorted<V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), digest: 0, changed: None, walk: None, audit: None }
    }
}

impl<V: Value> Sorted<V> {
    pub(super) fn get(&self, key: u128) -> Option<&V> {
        self.rows.get(&key)
    }

    /// The row with the largest key up to this one.
    pub(super) fn up_to(&self, key: u128) -> Option<(u128, &V)> {
        self.rows.range(..=key).next_back().map(|(key, value)| (*key, value))
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All rows, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, &V)> {
        self.rows.iter().map(|(key, value)| (*key, value))
    }

    /// The sum of all rows' digests.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Sets a row, or takes it away with `None`. Gives back what was there: setting that again undoes it without a trace.
    pub(super) fn set(&mut self, key: u128, value: Option<V>) -> Option<V> {
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
            && walk.keys.contains(key)
        {
            walk.set_aside.entry(key).or_insert_with(|| before.clone());
        }
        before
    }

    /// Takes a row out of a checkpoint.
    pub(super) fn load(&mut self, key: u128, bytes: &[u8]) -> Result<(), String> {
        if self.rows.contains_key(&key) {
            return Err("it's there twice".into());
        }
        self.set(key, Some(V::decode(key, bytes)?));
        Ok(())
    }

    /// Looks at the next rows, at most `left` of them, and counts `left` down; `check` says whether a row alone is sound.
    /// `None`: there are more. Else whether all of them are sound and amount to the digest that was kept along.
    pub(super) fn audit_next(
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
    pub(super) fn none_since_checkpoint(&mut self) {
        self.changed = Some(BTreeSet::new());
    }

    /// Begins a checkpoint of all rows, or of those that changed since the last finished one. One that is still being
    /// copied counts as not written.
    pub(super) fn checkpoint_begin(&mut self, all: bool) {
        if self.walk.is_some() {
            self.changed = None;
        }
        let keys = match self.changed.replace(BTreeSet::new()) {
            Some(changed) if !all => Keys::Changed(changed),
            _ => Keys::Behind(Bound::Unbounded),
        };
        self.walk = Some(Walk { keys, set_aside: BTreeMap::new() });
    }

    /// Copies the next rows as they were when the checkpoint began, at most `left` of them, and counts `left` down. A row
    /// that was taken away since the last checkpoint is copied as an empty value.
    pub(super) fn checkpoint_next(&mut self, left: &mut usize, put: &mut dyn FnMut(u128, Vec<u8>)) {
        let Some(walk) = &mut self.walk else { return };
        while *left > 0
            && let Some((key, value)) = walk.step(&self.rows)
        {
            *left = left.wrapping_sub(1);
            match value {
                Some(value) => put(key, value.encode()),
                None if matches!(walk.keys, Keys::Changed(_)) => put(key, Vec::new()),
                None => {}
            }
        }
    }

    /// Whether every row that the checkpoint consists of is copied.
    pub(super) fn checkpoint_is_over(&self) -> bool {
        self.walk.as_ref().is_none_or(|walk| walk.next(&self.rows).is_none())
    }

    /// Ends a checkpoint. Unless it was copied to its end and written, the next one consists of all rows.
    pub(super) fn checkpoint_end(&mut self, written: bool) {
        if !(written && self.checkpoint_is_over()) {
            self.changed = None;
        }
        self.walk = None;
    }
}

impl<V: Value> Walk<V> {
    /// The next key to look at.
    fn next(&self, rows: &BTreeMap<u128, V>) -> Option<u128> {
        match &self.keys {
            Keys::Behind(after) => {
                let range = (*after, Bound::Unbounded);
                let there = rows.range(range).next().map(|(key, _)| *key);
                let was_there = self.set_aside.range(range).next().map(|(key, _)| *key);
                there.into_iter().chain(was_there).min()
            }
            Keys::Changed(keys) => keys.first().copied(),
        }
    }

    /// The next row, as it was.
    fn step(&mut self, rows: &BTreeMap<u128, V>) -> Option<(u128, Option<V>)> {
        let key = self.next(rows)?;
        match &mut self.keys {
            Keys::Behind(after) => *after = Bound::Excluded(key),
            Keys::Changed(keys) => drop(keys.pop_first()),
        }
        let value = match self.set_aside.remove(&key) {
            Some(as_it_was) => as_it_was,
            None => rows.get(&key).cloned(),
        };
        Some((key, value))
    }
}

impl Keys {
    fn contains(&self, key: u128) -> bool {
        match self {
            Self::Behind(Bound::Excluded(last)) => key > *last,
            Self::Behind(_) => true,
            Self::Changed(keys) => keys.contains(&key),
        }
    }
}

fn row_digest<V: Value>(key: u128, value: &V) -> u64 {
    let (low, high) = halves(key);
    let key = fold(low ^ ROOTS[0], high ^ ROOTS[1]);
    fold(key ^ ROOTS[2], value.digest() ^ ROOTS[3])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Value for u32 {
        fn digest(&self) -> u64 {
            u64::from(*self)
        }

        fn encode(&self) -> Vec<u8> {
            self.to_le_bytes().to_vec()
        }

        fn decode(_: u128, bytes: &[u8]) -> Result<Self, String> {
            Ok(Self::from_le_bytes(bytes.try_into().map_err(|_| "not four bytes")?))
        }
    }

    type Store = BTreeMap<u128, Vec<u8>>;

    /// What a store holds of it.
    fn stored(rows: &BTreeMap<u128, u32>) -> Store {
        rows.iter().map(|(key, value)| (*key, value.encode())).collect()
    }

    fn keep(store: &mut Store, key: u128, value: Vec<u8>) {
        if value.is_empty() { drop(store.remove(&key)) } else { drop(store.insert(key, value)) }
    }

    fn copy(table: &mut Sorted<u32>, mut left: usize, store: &mut Store) {
        table.checkpoint_next(&mut left, &mut |key, value| keep(store, key, value));
    }

    #[test]
    fn what_is_undone_leaves_no_trace() {
        let mut table = Sorted::<u32>::default();
        table.set(7, Some(1));
        let digest = table.digest();
        let changes: [(u128, Option<u32>); 4] = [(7, Some(2)), (8, Some(1)), (7, None), (9, None)];
        let mut undo = Vec::new();
        for (key, value) in changes {
            undo.push((key, table.set(key, value)));
        }
        assert_ne!(table.digest(), digest);
        for (key, before) in undo.into_iter().rev() {
            table.set(key, before);
        }
        assert_eq!(table.digest(), digest);
        assert_eq!(table.iter().collect::<Vec<_>>(), [(7, &1)]);
    }

    #[test]
    fn keys_and_values_are_part_of_the_digest() {
        let digest = |rows: &[(u128, u32)]| {
            let mut table = Sorted::default();
            for (key, value) in rows {
                table.set(*key, Some(*value));
            }
            table.digest()
        };
        assert_eq!(digest(&[]), 0);
        assert_eq!(digest(&[(1, 2), (3, 4)]), digest(&[(3, 4), (1, 2)]));
        for other in [&[(1, 4), (3, 2)][..], &[(1, 2)], &[(1, 2), (3, 5)], &[(1, 2), (4, 4)]] {
            assert_ne!(digest(&[(1, 2), (3, 4)]), digest(other), "{other:?}");
        }
    }

    #[test]
    fn a_damaged_row_is_refused() {
        let mut table = Sorted::<u32>::default();
        table.load(1, &[1, 0, 0, 0]).unwrap();
        assert_eq!(table.load(1, &[1, 0, 0, 0]).unwrap_err(), "it's there twice");
        assert_eq!(table.load(2, &[1, 0, 0]).unwrap_err(), "not four bytes");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Set(u128, Option<u32>),
        Begin { all: bool },
        Copy(usize),
        End { written: bool },
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            6 => (0..12_u128, proptest::option::of(0..3_u32)).prop_map(|(key, value)| Act::Set(key, value)),
            1 => any::<bool>().prop_map(|all| Act::Begin { all }),
            4 => (1..5_usize).prop_map(Act::Copy),
            2 => prop::bool::weighted(0.8).prop_map(|written| Act::End { written }),
        ];
        proptest::collection::vec(act, 1..120)
    }

    proptest! {
        /// A store that takes every finished checkpoint, and nothing of others, has the state at which the last began.
        #[test]
        fn a_checkpoint_is_the_state_at_which_it_began(acts in acts()) {
            let mut table = Sorted::<u32>::default();
            let (mut model, mut store) = (BTreeMap::new(), Store::new());
            let mut written_once = false;
            let mut under_way: Option<(Store, Store)> = None;
            for act in acts {
                match act {
                    Act::Set(key, value) => {
                        let before = match value {
                            Some(value) => model.insert(key, value),
                            None => model.remove(&key),
                        };
                        prop_assert_eq!(table.set(key, value), before);
                    }
                    Act::Begin { all } => {
                        // What wasn't written is gone; a checkpoint of all rows begins with an empty store.
                        let all = all || !written_once || under_way.is_some();
                        table.checkpoint_begin(all);
                        let base = if all { Store::new() } else { store.clone() };
                        under_way = Some((base, stored(&model)));
                    }
                    Act::Copy(left) => {
                        if let Some((copied, _)) = &mut under_way {
                            copy(&mut table, left, copied);
                        }
                    }
                    Act::End { written } => {
                        let Some((mut copied, as_it_was)) = under_way.take() else { continue };
                        if written {
                            while !table.checkpoint_is_over() {
                                copy(&mut table, 3, &mut copied);
                            }
                            prop_assert_eq!(&copied, &as_it_was);
                            store = copied;
                        }
                        table.checkpoint_end(written);
                        written_once = written;
                    }
                }
                let mut anew = Sorted::<u32>::default();
                for (key, value) in &model {
                    anew.set(*key, Some(*value));
                }
                prop_assert_eq!(table.digest(), anew.digest());
            }
        }
    }
}
