use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    id::{AccountId, KeyId, OPERATOR_KEY},
    key::{CreateKey, RevokeKey, Role},
    limits::KEYS_MAX,
    outcome::Rejection,
    transfer::Text,
};

use super::{create, revoke};
use crate::{
    containers::{ids::HashSeed, memory::MemoryAdvice},
    rules::verdict::{Stop, Verdict},
    tables::{Tables, accounts::AccountOpening},
    tests::support::world,
};

const OPERATOR_HASH: [u8; 32] = [9; 32];
const MERCHANT: AccountId = AccountId::new(5);
const WALLET: AccountId = AccountId::new(6);

/// The operator key, a merchant and a wallet.
fn tables() -> Tables {
    let mut tables = Tables::new(HashSeed::fixed([3, 4]), MemoryAdvice::NONE);
    tables.accounts.bootstrap(&[world::asset("KRW")], 1);
    tables.keys.bootstrap(OPERATOR_HASH, 0, 0);
    for (id, kind) in [(MERCHANT, AccountKind::Merchant), (WALLET, AccountKind::Wallet)] {
        let (label, limits) = (Text::default(), Limits::default());
        let open = OpenAccount { id, kind, asset: world::asset("KRW"), label, limits };
        let opened =
            AccountOpening { at: 1, position: 1, index: 0, limits: 0, label: Text::default() };
        tables.accounts.open(&open, 0, opened);
    }
    tables
}

fn hash(number: u32) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

fn key(number: u32, role: Role, account: Option<AccountId>) -> CreateKey {
    CreateKey { hash: hash(number), role, account }
}

/// At position 7, with index 3.
fn create(tables: &mut Tables, command: &CreateKey) -> Verdict {
    let change = world::with_context(&world::head(7, 1), 3, |context| {
        create::judge(tables, command, context)
    })?;
    Ok(create::apply(tables, change))
}

fn created(number: u64) -> Result<u64, Stop> {
    Ok(number)
}

#[test]
fn keys_get_the_next_number_once() {
    use Role::{App, Auditor, Merchant, Operator, Teller};
    let mut tables = tables();
    let invalid = Err(Stop::Rejected(Rejection::KeyAccountInvalid));
    let reused = Err(Stop::Rejected(Rejection::IdReused));
    for (number, role, account, expected) in [
        (1, App, None, created(2)),
        (2, Merchant, Some(MERCHANT), created(3)),
        (2, Merchant, Some(WALLET), reused.clone()),
        (2, Operator, None, reused),
        (3, Merchant, None, invalid.clone()),
        (3, Merchant, Some(WALLET), invalid.clone()),
        (3, Merchant, Some(AccountId::new(7)), invalid.clone()),
        (3, Teller, Some(MERCHANT), invalid),
        (3, Auditor, None, created(4)),
    ] {
        let verdict = create(&mut tables, &key(number, role, account));
        let found = verdict.map(|committed| committed.amount);
        assert_eq!(found, expected, "{number} {role} {account:?}");
    }
    let Err(Stop::Replayed(answer)) = create(&mut tables, &key(2, Merchant, Some(MERCHANT))) else {
        panic!("the same key again replays");
    };
    assert_eq!((answer.outcome.amount, answer.outcome.index), (3, 3));
    assert_eq!(answer.first, Some(world::head(7, 1).stamp()));
    let row = tables.keys.find_row(&hash(2)).map(|(number, row)| (number, row.position, row.index));
    assert_eq!(row, Some((KeyId(3), 7, 3)));
    let (number, operator) = tables.keys.find_row(&OPERATOR_HASH).unwrap();
    assert_eq!((number, operator.role, operator.account), (OPERATOR_KEY, Operator, None));
    let roles: Vec<_> = tables.keys.views().iter().map(|view| (view.key.0, view.role)).collect();
    assert_eq!(roles, [(1, Operator), (2, App), (3, Merchant), (4, Auditor)]);
}

#[test]
fn an_unknown_key_cannot_be_revoked_and_a_revoked_one_replays() {
    let mut tables = tables();
    create(&mut tables, &key(1, Role::App, None)).unwrap();
    for unknown in [0, 3, u32::MAX] {
        let found = revoke::judge(&tables, RevokeKey { key: KeyId(unknown) });
        assert_eq!(found, Err(Stop::Rejected(Rejection::KeyNotFound)), "{unknown}");
    }
    for _ in 0..2 {
        let change = revoke::judge(&tables, RevokeKey { key: KeyId(2) }).unwrap();
        revoke::apply(&mut tables, change);
        assert!(tables.keys.find(&hash(1)).unwrap().revoked);
    }
    let again = create(&mut tables, &key(1, Role::App, None));
    assert!(matches!(again, Err(Stop::Replayed(_))), "it isn't created again: {again:?}");
}

#[test]
fn the_number_of_keys_is_limited() {
    let mut tables = tables();
    for number in 1..u32::try_from(KEYS_MAX).unwrap() {
        let verdict = create(&mut tables, &key(number, Role::App, None));
        let found = verdict.map(|committed| committed.amount);
        assert_eq!(found, created(u64::from(number) + 1));
    }
    let one_more = create(&mut tables, &key(0, Role::App, None));
    assert_eq!(one_more, Err(Stop::Rejected(Rejection::TooManyKeys)));
    let last = u32::try_from(KEYS_MAX).unwrap();
    assert_eq!(tables.keys.find(&hash(last - 1)).map(|key| key.key), Some(KeyId(last)));
}
