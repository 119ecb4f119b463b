//! The table of keys: what is looked up, undone, copied and audited.

use super::*;

const OPERATOR_HASH: [u8; 32] = [9; 32];
const MERCHANT: AccountId = AccountId::new(5);
const WALLET: AccountId = AccountId::new(6);

fn keys() -> Keys {
    let mut keys = Keys::new(HashSeed::fixed([3, 4]));
    keys.bootstrap(OPERATOR_HASH, 0, 0);
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

fn create(keys: &mut Keys, create: &CreateKey) -> KeyCreation {
    keys.create(create, 7, 3, kind_of)
}

#[test]
fn keys_get_the_next_number_once() {
    use Role::{App, Auditor, Merchant, Operator, Teller};
    let mut keys = keys();
    let invalid = KeyCreation::Rejected(Rejection::KeyAccountInvalid);
    let reused = KeyCreation::Rejected(Rejection::IdReused);
    let merchant_again = Key {
        hash: hash(2),
        role: Merchant,
        account: Some(MERCHANT),
        revoked: false,
        position: 7,
        index: 3,
    };
    for (number, role, account, found) in [
        (1, App, None, KeyCreation::New(KeyId(2))),
        (2, Merchant, Some(MERCHANT), KeyCreation::New(KeyId(3))),
        (2, Merchant, Some(MERCHANT), KeyCreation::Existing(KeyId(3), merchant_again)),
        (2, Merchant, Some(WALLET), reused),
        (2, Operator, None, reused),
        (3, Merchant, None, invalid),
        (3, Merchant, Some(WALLET), invalid),
        (3, Merchant, Some(AccountId::new(7)), invalid),
        (3, Teller, Some(MERCHANT), invalid),
        (3, Auditor, None, KeyCreation::New(KeyId(4))),
    ] {
        let result = create(&mut keys, &key(number, role, account));
        assert_eq!(result, found, "{number} {role} {account:?}");
    }
    let operator = CreateKey { hash: OPERATOR_HASH, role: Operator, account: None };
    assert!(matches!(create(&mut keys, &operator), KeyCreation::Existing(OPERATOR_KEY, _)));
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
    assert!(matches!(again, KeyCreation::Existing(KeyId(2), _)), "it's never made anew: {again:?}");
    keys.set_revoked(KeyId(2), false);
    assert_eq!(keys.rows.digest(), digest);
}

#[test]
fn what_is_taken_back_leaves_no_trace() {
    let mut keys = keys();
    let digest = keys.rows.digest();
    for number in 0..40 {
        let made = create(&mut keys, &key(number, Role::App, None));
        assert_eq!(made, KeyCreation::New(KeyId(2)));
        keys.remove_newest(KeyId(2));
        assert_eq!(keys.find(&hash(number)), None);
    }
    assert_eq!(keys.rows.digest(), digest);
    assert_eq!(create(&mut keys, &key(7, Role::Teller, None)), KeyCreation::New(KeyId(2)));
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
fn there_are_at_most_so_many() {
    let mut keys = keys();
    for number in 1..u32::try_from(KEYS_MAX).unwrap() {
        let made = create(&mut keys, &key(number, Role::App, None));
        assert_eq!(made, KeyCreation::New(KeyId(number + 1)));
    }
    let one_more = create(&mut keys, &key(0, Role::App, None));
    assert_eq!(one_more, KeyCreation::Rejected(Rejection::TooManyKeys));
    let last = u32::try_from(KEYS_MAX).unwrap();
    assert_eq!(keys.find(&hash(last - 1)).map(|key| key.key), Some(KeyId(last)));
    assert_eq!(reload(&keys).unwrap().views(), keys.views());
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
        (vec![operator(), (2, Key { account: Some(MERCHANT), ..row(hash(1), Role::App) })], "role"),
    ] {
        let mut keys = Keys::new(HashSeed::fixed([3, 4]));
        let put = rows.iter().try_for_each(|(key, row)| keys.rows.load(*key, &row.encode()));
        let what = put.and_then(|()| keys.finish_loading(Some(&OPERATOR_HASH))).unwrap_err();
        assert!(what.contains(wrong), "{what}");
    }
}
