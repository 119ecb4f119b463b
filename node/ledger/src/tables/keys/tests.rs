//! The table of keys: lookups, undone changes, loading.

use super::*;

const OPERATOR_HASH: [u8; 32] = [9; 32];
const MERCHANT: AccountId = AccountId::new(5);

fn keys() -> Keys {
    let mut keys = Keys::new(HashSeed::fixed([3, 4]));
    keys.bootstrap(OPERATOR_HASH, 0, 0);
    keys
}

fn hash(number: u32) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

fn add(keys: &mut Keys, number: u32, role: Role, account: Option<AccountId>) -> KeyId {
    let revoked = false;
    keys.add(Key { hash: hash(number), role, account, revoked, position: 7, index: 3 })
}

#[test]
fn a_revoked_key_is_found_as_revoked() {
    let mut keys = keys();
    add(&mut keys, 1, Role::App, None);
    let digest = keys.rows.digest();
    assert!(!keys.set_revoked(KeyId(2), true));
    assert_ne!(keys.rows.digest(), digest);
    assert!(keys.set_revoked(KeyId(2), true));
    for unknown in [0, 3, u32::MAX] {
        assert_eq!(keys.view(KeyId(unknown)), None, "{unknown}");
    }
    let found = keys.find(&hash(1)).unwrap();
    assert_eq!((found.key, found.revoked), (KeyId(2), true));
    assert!(!keys.find(&OPERATOR_HASH).unwrap().revoked);
    assert_eq!(keys.find_row(&hash(1)).map(|(number, _)| number), Some(KeyId(2)));
    keys.set_revoked(KeyId(2), false);
    assert_eq!(keys.rows.digest(), digest);
}

#[test]
fn a_removed_key_leaves_no_trace() {
    let mut keys = keys();
    let digest = keys.rows.digest();
    for number in 0..40 {
        assert_eq!(add(&mut keys, number, Role::App, None), KeyId(2));
        keys.remove_newest(KeyId(2));
        assert_eq!(keys.find(&hash(number)), None);
    }
    assert_eq!(keys.rows.digest(), digest);
    assert_eq!(add(&mut keys, 7, Role::Teller, None), KeyId(2));
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
            assert!(!constant_time_eq(&wrong, &OPERATOR_HASH));
        }
    }
}

#[test]
fn the_largest_table_of_keys_is_loaded() {
    let mut keys = keys();
    for number in 1..u32::try_from(KEYS_MAX).unwrap() {
        assert_eq!(add(&mut keys, number, Role::App, None), KeyId(number + 1));
    }
    let last = u32::try_from(KEYS_MAX).unwrap();
    assert_eq!(keys.find(&hash(last - 1)).map(|key| key.key), Some(KeyId(last)));
    assert_eq!(reload(&keys).unwrap().views(), keys.views());
    add(&mut keys, 0, Role::App, None);
    assert!(reload(&keys).err().unwrap().contains("at most"), "one more than is allowed");
}

fn reload(keys: &Keys) -> Result<Keys, String> {
    let mut loaded = Keys::new(HashSeed::fixed([5, 6]));
    for (key, row) in keys.rows.iter().collect::<Vec<_>>().into_iter().rev() {
        loaded.rows.load(key, &row.encode())?;
    }
    loaded.finish_loading(Some(&OPERATOR_HASH))?;
    Ok(loaded)
}

#[test]
fn keys_are_loaded() {
    let mut keys = keys();
    add(&mut keys, 1, Role::App, None);
    add(&mut keys, 2, Role::Merchant, Some(MERCHANT));
    keys.set_revoked(KeyId(2), true);
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
        (vec![operator(), (2, row(OPERATOR_HASH, Role::App))], "the hash of another key"),
        (vec![operator(), (0, row(hash(1), Role::App))], "no number"),
        (vec![operator(), (1 << 32, row(hash(1), Role::App))], "no number"),
        (vec![operator(), (2, Key { account: None, ..row(hash(1), Role::Merchant) })], "role"),
        (vec![operator(), (2, Key { account: Some(MERCHANT), ..row(hash(1), Role::App) })], "role"),
    ] {
        let mut keys = Keys::new(HashSeed::fixed([3, 4]));
        let put = rows.iter().try_for_each(|(key, row)| keys.rows.load(*key, &row.encode()));
        let what = put.and_then(|()| keys.finish_loading(Some(&OPERATOR_HASH))).unwrap_err();
        assert!(what.contains(wrong), "{what}");
    }
}
