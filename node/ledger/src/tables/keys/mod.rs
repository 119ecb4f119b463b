//! Keys and their roles, by the blake3 hash of the key's text. They are numbered without gaps from
//! 1, the operator key of genesis.
//!
//! A revoked key stays, so that its number and its hash are never given to another. Admission
//! checks the permissions of roles; only the owners have the texts.

use evenkeel_wire::{
    codec,
    id::{AccountId, KeyId, OPERATOR_KEY},
    key::Role,
    limits::KEYS_MAX,
    reply::KeyView,
};

use crate::containers::{
    ids::{HashSeed, IdHash, IdTable},
    memory::MemoryAdvice,
    sorted::{SortedTable, TableValue},
};

const TABLE_BITS: u32 = 4;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) hash: [u8; 32],
    pub(crate) role: Role,
    /// The merchant's account, for [`Role::Merchant`] only.
    pub(crate) account: Option<AccountId>,
    pub(crate) revoked: bool,
    /// The entry that created it and the outcome's index in it, for replays.
    pub(crate) position: u64,
    pub(crate) index: u16,
}

/// All keys: rows by number, found by hash.
#[derive(Debug)]
pub(crate) struct Keys {
    seed: HashSeed,
    pub(crate) rows: SortedTable<Key>,
    /// Numbers by hash. The number of a removed key points to no key or to one with another hash,
    /// and is skipped.
    by_hash: IdTable,
}

impl Keys {
    pub(crate) fn new(seed: HashSeed) -> Self {
        Self {
            seed,
            rows: SortedTable::default(),
            by_hash: IdTable::new(TABLE_BITS, MemoryAdvice::NONE),
        }
    }

    /// Adds the first key, that of genesis.
    pub(crate) fn bootstrap(&mut self, operator_key: [u8; 32], position: u64, index: u16) {
        assert_eq!(self.next_number(), OPERATOR_KEY, "a ledger is bootstrapped once");
        let role = Role::Operator;
        self.add(Key { hash: operator_key, role, account: None, revoked: false, position, index });
    }

    /// The key with this blake3 hash of its text, also when it's revoked.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.find_number(hash).and_then(|number| self.view(number))
    }

    pub(crate) fn view(&self, key: KeyId) -> Option<KeyView> {
        self.row(key).map(|row| row.view(key))
    }

    /// The account of a merchant's key; `None` for keys of other roles and unknown ones.
    pub(crate) fn merchant_account(&self, key: KeyId) -> Option<AccountId> {
        self.row(key).filter(|row| row.role == Role::Merchant)?.account
    }

    /// All keys, by number.
    pub(crate) fn views(&self) -> Vec<KeyView> {
        (OPERATOR_KEY.0..).map_while(|number| self.view(KeyId(number))).collect()
    }

    /// Adds a key under the next number. [`Self::remove_newest`] undoes it.
    pub(crate) fn add(&mut self, row: Key) -> KeyId {
        let key = self.next_number();
        self.index(key, &row.hash);
        self.rows.set(key.0.into(), Some(row));
        key
    }

    /// Undoes the newest [`Self::add`].
    pub(crate) fn remove_newest(&mut self, key: KeyId) {
        self.rows.set(key.0.into(), None);
        assert_eq!(self.next_number(), key, "the newest key is removed first");
    }

    /// Sets whether a key is revoked, if it exists. Returns whether it was before.
    pub(crate) fn set_revoked(&mut self, key: KeyId, revoked: bool) -> bool {
        let Some(row) = self.row(key).copied() else { return false };
        if row.revoked != revoked {
            self.rows.set(key.0.into(), Some(Key { revoked, ..row }));
        }
        row.revoked
    }

    /// See [`SortedTable::audit_next`]. Every key is found by its hash.
    pub(crate) fn audit_next(&mut self, left: &mut usize) -> Option<bool> {
        let (seed, by_hash) = (self.seed, &self.by_hash);
        self.rows.audit_next(left, &mut |number, row| {
            let is_it = |found: u32| u128::from(found) == number;
            by_hash.find(hash_key(seed, &row.hash), is_it).is_some()
        })
    }

    /// After the rows of a checkpoint were loaded: indexes the keys by hash.
    pub(crate) fn finish_loading(&mut self, operator_key: Option<&[u8; 32]>) -> Result<(), String> {
        if self.rows.len() > KEYS_MAX {
            return Err(format!("{} keys, {KEYS_MAX} at most", self.rows.len()));
        }
        for number in OPERATOR_KEY.0..self.next_number().0 {
            let Some(row) = self.row(KeyId(number)).copied() else {
                return Err("the numbers of keys have a gap".into());
            };
            if self.find_number(&row.hash).is_some() {
                return Err(format!("key {number} has the hash of another key"));
            }
            self.index(KeyId(number), &row.hash);
        }
        let first = self.row(OPERATOR_KEY).map(|row| (&row.hash, row.role));
        if first != operator_key.map(|hash| (hash, Role::Operator)) {
            return Err("key 1 isn't the operator key of genesis".into());
        }
        Ok(())
    }

    fn row(&self, key: KeyId) -> Option<&Key> {
        self.rows.get(key.0.into())
    }

    /// The number of the next key.
    fn next_number(&self) -> KeyId {
        let count = u32::try_from(self.rows.len()).expect("at most KEYS_MAX");
        KeyId(count.saturating_add(OPERATOR_KEY.0))
    }

    fn index(&mut self, key: KeyId, hash: &[u8; 32]) {
        if self.by_hash.is_crowded() {
            self.by_hash.grow(MemoryAdvice::NONE);
        }
        self.by_hash.insert(hash_key(self.seed, hash), key.0);
    }

    /// The number and the row of the key with this hash.
    pub(crate) fn find_row(&self, hash: &[u8; 32]) -> Option<(KeyId, &Key)> {
        let number = self.find_number(hash)?;
        self.row(number).map(|row| (number, row))
    }

    /// The number of the key with this hash.
    ///
    /// The path of the search depends on a secret seed, and hashes are compared as a whole: the
    /// time that it takes doesn't depend on the number of matching bytes.
    fn find_number(&self, hash: &[u8; 32]) -> Option<KeyId> {
        let is_it =
            |number| self.row(KeyId(number)).is_some_and(|row| constant_time_eq(&row.hash, hash));
        self.by_hash.find(hash_key(self.seed, hash), is_it).map(KeyId)
    }
}

fn hash_key(seed: HashSeed, hash: &[u8; 32]) -> IdHash {
    let (halves, _) = hash.as_chunks::<16>();
    seed.hash(u128::from_le_bytes(halves[0]) ^ u128::from_le_bytes(halves[1]))
}

/// Compares every byte, even after a difference.
fn constant_time_eq(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differences = one.iter().zip(other).fold(0, |found, (one, other)| found | (one ^ other));
    std::hint::black_box(differences) == 0
}

impl Key {
    fn view(&self, key: KeyId) -> KeyView {
        KeyView { key, role: self.role, account: self.account, revoked: self.revoked }
    }
}

/// The fields of a key in a checkpoint.
type KeyRow = ([u8; 32], Role, Option<AccountId>, bool, u64, u16);

impl TableValue for Key {
    fn digest(&self) -> u64 {
        let hash = blake3::hash(&self.encode());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
    }

    fn encode(&self) -> Vec<u8> {
        let Self { hash, role, account, revoked, position, index } = *self;
        codec::encode(&(hash, role, account, revoked, position, index))
    }

    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String> {
        if !u32::try_from(key).is_ok_and(|key| key >= OPERATOR_KEY.0) {
            return Err(format!("{key} is no number of a key"));
        }
        let (hash, role, account, revoked, position, index): KeyRow =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        if (role == Role::Merchant) != account.is_some() {
            return Err(format!("a key of role {role} with this account: {account:?}"));
        }
        Ok(Self { hash, role, account, revoked, position, index })
    }
}

#[cfg(test)]
mod tests;
