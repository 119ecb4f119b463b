//! Keys: who may ask for what, by the blake3 of the key's text. Numbered from 1, the operator key of genesis, without gaps.
//!
//! A key that was revoked stays, so that its number and its hash are never another's. What a role may do is admission's
//! affair; the texts are nobody's but their owners'.

use evenkeel_wire::{
    account::AccountKind,
    codec,
    id::{AccountId, KeyId, OPERATOR_KEY},
    key::{CreateKey, Role},
    limits::KEYS_MAX,
    outcome::Rejection,
    reply::KeyView,
};

use super::{
    ids::{Hash, IdTable, Seed},
    sorted::{Sorted, Value},
};

const TABLE_BITS: u32 = 4;

/// A key as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    hash: [u8; 32],
    role: Role,
    /// The merchant's account, for [`Role::Merchant`] alone.
    account: Option<AccountId>,
    revoked: bool,
    /// Where it was made, for whoever makes it again.
    pub(super) position: u64,
    pub(super) index: u16,
}

/// What became of a key that was to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    New(KeyId),
    /// The same was made before.
    Again(KeyId, Key),
    Rejected(Rejection),
}

/// All keys: rows by number, found by hash.
#[derive(Debug)]
pub(super) struct Keys {
    seed: Seed,
    pub(super) rows: Sorted<Key>,
    /// Numbers by hash. One whose key was taken back points nowhere, or to a key with another hash: it's passed over.
    by_hash: IdTable,
}

impl Keys {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, rows: Sorted::default(), by_hash: IdTable::new(TABLE_BITS) }
    }

    /// Genesis brings the first key.
    pub(super) fn found(&mut self, operator_key: [u8; 32], position: u64, index: u16) {
        assert_eq!(self.next(), OPERATOR_KEY, "a ledger is founded once");
        let role = Role::Operator;
        self.add(Key { hash: operator_key, role, account: None, revoked: false, position, index });
    }

    /// The key whose text has this blake3, also when it's revoked.
    pub(super) fn find(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.number(hash).and_then(|number| self.view(number))
    }

    pub(super) fn view(&self, key: KeyId) -> Option<KeyView> {
        self.row(key).map(|row| row.view(key))
    }

    /// The account of a merchant's key; `None`: another role's, or nobody's.
    pub(super) fn merchant(&self, key: KeyId) -> Option<AccountId> {
        self.row(key).filter(|row| row.role == Role::Merchant)?.account
    }

    /// All of them, by number.
    pub(super) fn views(&self) -> Vec<KeyView> {
        (OPERATOR_KEY.0..).map_while(|number| self.view(KeyId(number))).collect()
    }

    /// Makes a key, or says why not; `kind_of` tells what accounts are. [`Self::take_back`] undoes it.
    pub(super) fn create(
        &mut self,
        create: &CreateKey,
        position: u64,
        index: u16,
        kind_of: impl Fn(AccountId) -> Option<AccountKind>,
    ) -> Created {
        let CreateKey { hash, role, account } = *create;
        if let Some(number) = self.number(&hash)
            && let Some(first) = self.row(number)
        {
            return if (first.role, first.account) == (role, account) {
                Created::Again(number, *first)
            } else {
                Created::Rejected(Rejection::IdReused)
            };
        }
        let account_fits = match (role, account) {
            (Role::Merchant, Some(account)) => kind_of(account) == Some(AccountKind::Merchant),
            (Role::Merchant, None) => false,
            (_, account) => account.is_none(),
        };
        if !account_fits {
            return Created::Rejected(Rejection::KeyAccountInvalid);
        }
        if self.rows.len() >= KEYS_MAX {
            return Created::Rejected(Rejection::TooManyKeys);
        }
        Created::New(self.add(Key { hash, role, account, revoked: false, position, index }))
    }

    /// Undoes the newest [`Self::create`].
    pub(super) fn take_back(&mut self, key: KeyId) {
        self.rows.set(key.0.into(), None);
        assert_eq!(self.next(), key, "the newest is taken back first");
    }

    /// Ends a key. Says whether it had ended before, for [`Self::set_revoked`], which undoes it.
    pub(super) fn revoke(&mut self, key: KeyId) -> Result<bool, Rejection> {
        let before = self.row(key).ok_or(Rejection::KeyNotFound)?.revoked;
        self.set_revoked(key, true);
        Ok(before)
    }

    /// Whether a key that is there is revoked.
    pub(super) fn set_revoked(&mut self, key: KeyId, revoked: bool) {
        if let Some(row) = self.row(key).copied()
            && row.revoked != revoked
        {
            self.rows.set(key.0.into(), Some(Key { revoked, ..row }));
        }
    }

    /// See [`Sorted::audit_next`]. Every key is found by its hash.
    pub(super) fn audit_next(&mut self, left: &mut usize) -> Option<bool> {
        let (seed, by_hash) = (self.seed, &self.by_hash);
        self.rows.audit_next(left, &mut |number, row| {
            let is_it = |found: u32| u128::from(found) == number;
            by_hash.find(place(seed, &row.hash), is_it).is_some()
        })
    }

    /// After the rows of a checkpoint were loaded: makes keys findable.
    pub(super) fn loaded(&mut self, operator_key: Option<&[u8; 32]>) -> Result<(), String> {
        if self.rows.len() > KEYS_MAX {
            return Err(format!("{} keys, {KEYS_MAX} at most", self.rows.len()));
        }
        for number in OPERATOR_KEY.0..self.next().0 {
            let Some(row) = self.row(KeyId(number)).copied() else {
                return Err("the keys' numbers have a gap".into());
            };
            if self.number(&row.hash).is_some() {
                return Err(format!("key {number} has another one's hash"));
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

    /// The number that the next key gets.
    fn next(&self) -> KeyId {
        let count = u32::try_from(self.rows.len()).expect("at most KEYS_MAX");
        KeyId(count.saturating_add(OPERATOR_KEY.0))
    }

    fn add(&mut self, row: Key) -> KeyId {
        let key = self.next();
        self.index(key, &row.hash);
        self.rows.set(key.0.into(), Some(row));
        key
    }

    fn index(&mut self, key: KeyId, hash: &[u8; 32]) {
        if self.by_hash.is_crowded() {
            self.by_hash.grow();
        }
        self.by_hash.insert(place(self.seed, hash), key.0);
    }

    /// The number of the key with this hash.
    ///
    /// Where the search goes depends on a secret seed, and a hash is compared as a whole: the time it takes says nothing
    /// of how many bytes are right.
    fn number(&self, hash: &[u8; 32]) -> Option<KeyId> {
        let is_it = |number| self.row(KeyId(number)).is_some_and(|row| same(&row.hash, hash));
        self.by_hash.find(place(self.seed, hash), is_it).map(KeyId)
    }
}

fn place(seed: Seed, hash: &[u8; 32]) -> Hash {
    let (halves, _) = hash.as_chunks::<16>();
    seed.hash(u128::from_le_bytes(halves[0]) ^ u128::from_le_bytes(halves[1]))
}

/// Looks at every byte, whatever the first ones are.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differences = one.iter().zip(other).fold(0, |found, (one, other)| found | (one ^ other));
    std::hint::black_box(differences) == 0
}

impl Key {
    fn view(&self, key: KeyId) -> KeyView {
        KeyView { key, role: self.role, account: self.account, revoked: self.revoked }
    }
}

/// Hash, role, account, whether it's revoked, position and index: as a checkpoint keeps it.
type Row = ([u8; 32], Role, Option<AccountId>, bool, u64, u16);

impl Value for Key {
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
        let (hash, role, account, revoked, position, index): Row =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        if (role == Role::Merchant) != account.is_some() {
            return Err(format!("a key of role {role} with this account: {account:?}"));
        }
        Ok(Self { hash, role, account, revoked, position, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR_HASH: [u8; 32] = [9; 32];
    const MERCHANT: AccountId = AccountId::new(5);
    const WALLET: AccountId = AccountId::new(6);

    fn keys() -> Keys {
        let mut keys = Keys::new(Seed::fixed([3, 4]));
        keys.found(OPERATOR_HASH, 0, 0);
        keys
    }

    fn kind_of(account: AccountId) -> Option<AccountKind> {
        match account {
            MERCHANT => Some(AccountKind::Merchant),
            WALLET => Some(AccountKind::Wallet),
            _ => None,
        }
    }

    fn hash(number: u32) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    fn key(number: u32, role: Role, account: Option<AccountId>) -> CreateKey {
        CreateKey { hash: hash(number), role, account }
    }

    fn create(keys: &mut Keys, create: &CreateKey) -> Created {
        keys.create(create, 7, 3, kind_of)
    }

    #[test]
    fn keys_get_the_next_number_once() {
        use Role::{App, Auditor, Merchant, Operator, Teller};
        let mut keys = keys();
        let invalid = Created::Rejected(Rejection::KeyAccountInvalid);
        let reused = Created::Rejected(Rejection::IdReused);
        let merchant_again = Key {
            hash: hash(2),
            role: Merchant,
            account: Some(MERCHANT),
            revoked: false,
            position: 7,
            index: 3,
        };
        for (number, role, account, found) in [
            (1, App, None, Created::New(KeyId(2))),
            (2, Merchant, Some(MERCHANT), Created::New(KeyId(3))),
            (2, Merchant, Some(MERCHANT), Created::Again(KeyId(3), merchant_again)),
            (2, Merchant, Some(WALLET), reused),
            (2, Operator, None, reused),
            (3, Merchant, None, invalid),
            (3, Merchant, Some(WALLET), invalid),
            (3, Merchant, Some(AccountId::new(7)), invalid),
            (3, Teller, Some(MERCHANT), invalid),
            (3, Auditor, None, Created::New(KeyId(4))),
        ] {
            let result = create(&mut keys, &key(number, role, account));
            assert_eq!(result, found, "{number} {role} {account:?}");
        }
        let operator = CreateKey { hash: OPERATOR_HASH, role: Operator, account: None };
        assert!(matches!(create(&mut keys, &operator), Created::Again(OPERATOR_KEY, _)));
        let roles: Vec<_> = keys.views().iter().map(|view| (view.key.0, view.role)).collect();
        assert_eq!(roles, [(1, Operator), (2, App), (3, Merchant), (4, Auditor)]);
    }

    #[test]
    fn a_revoked_key_is_found_as_revoked() {
        let mut keys = keys();
        create(&mut keys, &key(1, Role::App, None));
        let digest = keys.rows.digest();
        assert_eq!(keys.revoke(KeyId(2)), Ok(false));
        assert_ne!(keys.rows.digest(), digest);
        assert_eq!(keys.revoke(KeyId(2)), Ok(true));
        for unknown in [0, 3, u32::MAX] {
            assert_eq!(keys.revoke(KeyId(unknown)), Err(Rejection::KeyNotFound), "{unknown}");
        }
        let found = keys.find(&hash(1)).unwrap();
        assert_eq!((found.key, found.revoked), (KeyId(2), true));
        assert!(!keys.find(&OPERATOR_HASH).unwrap().revoked);
        let again = create(&mut keys, &key(1, Role::App, None));
        assert!(matches!(again, Created::Again(KeyId(2), _)), "it's never made anew: {again:?}");
        keys.set_revoked(KeyId(2), false);
        assert_eq!(keys.rows.digest(), digest);
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut keys = keys();
        let digest = keys.rows.digest();
        for number in 0..40 {
            let made = create(&mut keys, &key(number, Role::App, None));
            assert_eq!(made, Created::New(KeyId(2)));
            keys.take_back(KeyId(2));
            assert_eq!(keys.find(&hash(number)), None);
        }
        assert_eq!(keys.rows.digest(), digest);
        assert_eq!(create(&mut keys, &key(7, Role::Teller, None)), Created::New(KeyId(2)));
        assert_eq!(keys.find(&hash(7)).map(|key| key.role), Some(Role::Teller));
        assert_eq!(keys.find(&hash(39)), None);
    }

    #[test]
    fn every_byte_of_a_hash_counts() {
        let keys = keys();
        assert_eq!(keys.find(&OPERATOR_HASH).map(|key| key.key), Some(OPERATOR_KEY));
        for at in 0..32 {
            for bit in 0..8 {
                let mut wrong = OPERATOR_HASH;
                wrong[at] ^= 1 << bit;
                assert_eq!(keys.find(&wrong), None);
                assert!(!same(&wrong, &OPERATOR_HASH));
            }
        }
    }

    #[test]
    fn there_are_at_most_so_many() {
        let mut keys = keys();
        for number in 1..u32::try_from(KEYS_MAX).unwrap() {
            let made = create(&mut keys, &key(number, Role::App, None));
            assert_eq!(made, Created::New(KeyId(number + 1)));
        }
        let one_more = create(&mut keys, &key(0, Role::App, None));
        assert_eq!(one_more, Created::Rejected(Rejection::TooManyKeys));
        let last = u32::try_from(KEYS_MAX).unwrap();
        assert_eq!(keys.find(&hash(last - 1)).map(|key| key.key), Some(KeyId(last)));
        assert_eq!(reload(&keys).unwrap().views(), keys.views());
    }

    fn reload(keys: &Keys) -> Result<Keys, String> {
        let mut loaded = Keys::new(Seed::fixed([5, 6]));
        for (key, row) in keys.rows.iter().collect::<Vec<_>>().into_iter().rev() {
            loaded.rows.load(key, &row.encode())?;
        }
        loaded.loaded(Some(&OPERATOR_HASH))?;
        Ok(loaded)
    }

    #[test]
    fn keys_are_read_back() {
        let mut keys = keys();
        create(&mut keys, &key(1, Role::App, None));
        create(&mut keys, &key(2, Role::Merchant, Some(MERCHANT)));
        keys.revoke(KeyId(2)).unwrap();
        let loaded = reload(&keys).unwrap();
        assert_eq!(loaded.rows.digest(), keys.rows.digest());
        for hash in [OPERATOR_HASH, hash(1), hash(2), hash(3)] {
            assert_eq!(loaded.find(&hash), keys.find(&hash));
        }
    }

    #[test]
    fn damaged_keys_are_refused() {
        let row = |hash, role| Key {
            hash,
            role,
            account: (role == Role::Merchant).then_some(MERCHANT),
            revoked: false,
            position: 0,
            index: 0,
        };
        let operator = || (1, row(OPERATOR_HASH, Role::Operator));
        for (rows, wrong) in [
            (vec![], "isn't the operator key"),
            (vec![(1, row(hash(1), Role::Operator))], "isn't the operator key"),
            (vec![(1, row(OPERATOR_HASH, Role::App))], "isn't the operator key"),
            (vec![operator(), (3, row(hash(1), Role::App))], "gap"),
            (vec![operator(), (2, row(OPERATOR_HASH, Role::App))], "another one's hash"),
            (vec![operator(), (0, row(hash(1), Role::App))], "no number"),
            (vec![operator(), (1 << 32, row(hash(1), Role::App))], "no number"),
            (vec![operator(), (2, Key { account: None, ..row(hash(1), Role::Merchant) })], "role"),
            (
                vec![operator(), (2, Key { account: Some(MERCHANT), ..row(hash(1), Role::App) })],
                "role",
            ),
        ] {
            let mut keys = Keys::new(Seed::fixed([3, 4]));
            let put = rows.iter().try_for_each(|(key, row)| keys.rows.load(*key, &row.encode()));
            let what = put.and_then(|()| keys.loaded(Some(&OPERATOR_HASH))).unwrap_err();
            assert!(what.contains(wrong), "{what}");
        }
    }
}
