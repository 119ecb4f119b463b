//! Keys: numbered, found by their hashes, revoked forever.

use evenkeel_wire::{
    account::AccountKind,
    command::Command,
    id::{AccountId, KeyId, OPERATOR_KEY},
    key::{CreateKey, RevokeKey, Role},
    outcome::Rejection::*,
    transfer::TransferKind::Payment,
};

use crate::tests::support::{shop::*, world::*};

fn create(number: u8, role: Role, account: Option<AccountId>) -> Command {
    Command::CreateKey(CreateKey { hash: [number; 32], role, account })
}

fn revoke(number: u32) -> Command {
    Command::RevokeKey(RevokeKey { key: KeyId(number) })
}

#[test]
fn each_broken_rule_has_its_code() {
    for (command, rejection) in [
        (create(9, Role::App, None), IdReused),
        (revoke(0), KeyNotFound),
        (revoke(2), KeyNotFound),
        (create(1, Role::Merchant, None), KeyAccountInvalid),
        (create(1, Role::Merchant, Some(WALLET)), KeyAccountInvalid),
        (create(1, Role::Merchant, Some(account(99))), KeyAccountInvalid),
        (create(1, Role::Teller, Some(MERCHANT)), KeyAccountInvalid),
    ] {
        let mut world = shop();
        assert_eq!(world.code_of(&command), Some(rejection), "{command:?}");
        assert_eq!(world.ledger.keys().len(), 1);
    }
}

#[test]
fn a_key_is_created_once_and_its_number_is_replayed() {
    let mut world = shop();
    assert_eq!(world.commit(&create(1, Role::App, None)), 2);
    let first = world.one(T0, &create(2, Role::Merchant, Some(MERCHANT)));
    assert_eq!((code(&first), first.outcome.amount), (None, 3));
    let position = world.ledger.position().unwrap();
    world.seal();
    let again = world.one(T0, &create(2, Role::Merchant, Some(MERCHANT)));
    assert_eq!(again.outcome, first.outcome);
    assert_eq!(again.first.map(|stamp| stamp.position), Some(position));
    // Twice in one entry.
    let both = world.entry(T0, &[create(3, Role::Auditor, None), create(3, Role::Auditor, None)]);
    assert_eq!(both[0].outcome, both[1].outcome);
    assert_eq!(both[1].first.map(|stamp| stamp.position), world.ledger.position());
    let operator = world.one(T0, &create(9, Role::Operator, None));
    assert_eq!((operator.outcome.amount, operator.first.map(|at| at.position)), (1, Some(0)));
    let numbers: Vec<_> = world.ledger.keys().iter().map(|key| key.key.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

/// The door admits a merchant's early command, because it misses what is decided before it. The
/// ledger once executed such commands, with another merchant's money.
#[test]
fn a_merchants_key_never_uses_the_holds_and_payments_of_another() {
    const RIVAL: AccountId = account(6);
    const OWN: KeyId = KeyId(2);
    const RIVALS: KeyId = KeyId(3);
    let mut world = shop();
    world.open(RIVAL, AccountKind::Merchant, "KRW");
    world.commit(&create(1, Role::Merchant, Some(MERCHANT)));
    world.commit(&create(2, Role::Merchant, Some(RIVAL)));
    let given = [moves(50, Payment, (WALLET, MERCHANT), 40), hold(51, 20), hold(52, 20)];
    let rejected = [Some(PaymentNotFound), Some(HoldNotFound), Some(HoldNotFound)];

    // In one entry, and in the next; for closed holds as well.
    let asked = [refund(90, 50, 10), capture(91, 51, 5), void(92, 52)];
    let one = body_by(&[(OPERATOR_KEY, &given), (RIVALS, &asked)]);
    let (_, answers) = world.try_body(T0, one).unwrap();
    assert_eq!(answers[3..].iter().map(code).collect::<Vec<_>>(), rejected);
    let own = [refund(70, 50, 10), capture(71, 51, 5), void(72, 52)];
    let (_, answers) = world.try_body(T0, body_by(&[(OWN, &own)])).unwrap();
    assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), [None; 3]);
    let again = [refund(80, 50, 10), capture(81, 51, 5), void(82, 52)];
    let (_, answers) = world.try_body(T0, body_by(&[(RIVALS, &again)])).unwrap();
    assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), rejected);
    assert_eq!(world.posted(RIVAL), 0);
}

#[test]
fn a_revoked_key_stays_revoked() {
    let mut world = shop();
    world.commit(&create(1, Role::App, None));
    world.commit(&revoke(2));
    world.commit(&revoke(2));
    assert!(world.ledger.key(&[1; 32]).unwrap().revoked);
    assert!(world.one(T0, &create(1, Role::App, None)).first.is_some(), "it isn't created again");
    assert!(world.ledger.key(&[1; 32]).unwrap().revoked);
    assert_eq!(world.ledger.key(&[9; 32]).map(|key| key.key), Some(OPERATOR_KEY));
    world.commit(&revoke(1));
    assert!(world.ledger.key(&[9; 32]).unwrap().revoked, "the operator's too");
}

#[test]
fn a_failed_group_undoes_its_changes_of_keys() {
    let mut world = shop();
    world.commit(&create(1, Role::App, None));
    let keys = world.ledger.keys();
    let codes = world.atomic(&[create(2, Role::App, None), revoke(2), revoke(3), revoke(9)]);
    let failed = Some(BatchFailed);
    assert_eq!(codes, [failed, failed, failed, Some(KeyNotFound)]);
    assert_eq!(world.ledger.keys(), keys);
    assert_eq!(world.ledger.key(&[2; 32]), None);
    assert_eq!(world.commit(&create(3, Role::App, None)), 3, "no number is skipped");
}
