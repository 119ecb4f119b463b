//! Holds: captured or released, once. The order of checks is tested in `precedence`.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    command::Command,
    id::{AccountId, CommandId},
    limits::{AMOUNT_MAX, COMMANDS_MAX},
    outcome::{Answer, Outcome, Rejection},
    refund::Refund,
    transfer::{Text, TransferKind},
};

use crate::AuditProgress;
use crate::tests::support::{commands::*, world::*};

const BANK: AccountId = account(1);
const WALLET: AccountId = account(2);
const SHOP: AccountId = account(3);
const PARTIES: (AccountId, AccountId) = (WALLET, SHOP);
const HOUR_MS: u64 = 3_600_000;

fn world() -> World {
    let mut world = World::bootstrapped();
    world.open(BANK, AccountKind::Bank, "KRW");
    world.open(WALLET, AccountKind::Wallet, "KRW");
    world.open(SHOP, AccountKind::Merchant, "KRW");
    let top_up = transfer(id(0, 1), TransferKind::TopUp, (BANK, WALLET), 1_000, "KRW");
    assert_eq!(code(&world.one(T0, &top_up)), None);
    world
}

fn held(number: u128) -> CommandId {
    id(0, number)
}

fn place(world: &mut World, number: u128, amount: u64, expires_in_ms: u64) {
    let answer = world.one(T0, &hold(held(number), PARTIES, amount, expires_in_ms));
    assert_eq!(code(&answer), None);
    assert_eq!(answer.outcome, committed(0, amount, (0, 0)));
}

fn committed(index: u16, amount: u64, (debit_after, credit_after): (i64, i64)) -> Outcome {
    Outcome { index, rejection: None, amount, debit_after, credit_after }
}

/// Posted and held amount of the wallet, posted amount and incoming holds of the shop.
fn amounts(world: &World) -> (i64, i64, i64, u32) {
    let wallet = world.ledger.account(WALLET).unwrap();
    let shop = world.ledger.tables.accounts.find(SHOP).unwrap();
    let incoming = world.ledger.tables.accounts.account_state(shop).extra.incoming_holds;
    (wallet.posted, wallet.held, world.posted(SHOP), incoming)
}

#[test]
fn a_held_amount_stays_posted_and_is_not_available() {
    let mut world = world();
    place(&mut world, 10, 700, HOUR_MS);
    assert_eq!(amounts(&world), (1_000, 700, 0, 1));
    let pay = |number, amount| {
        transfer(id(0, number), TransferKind::CashOut, (WALLET, BANK), amount, "KRW")
    };
    let broke = Some(Rejection::InsufficientFunds);
    assert_eq!(code(&world.one(T0, &pay(2, 301))), broke);
    assert_eq!(code(&world.one(T0, &hold(held(11), PARTIES, 301, HOUR_MS))), broke);
    assert_eq!(code(&world.one(T0, &pay(3, 300))), None);
    assert_eq!(code(&world.one(T0, &hold(held(12), PARTIES, 1, HOUR_MS))), broke);
}

#[test]
fn a_capture_takes_its_amount_and_releases_the_rest() {
    for (amount, taken) in [(None, 700), (Some(700), 700), (Some(1), 1), (Some(699), 699)] {
        let mut world = world();
        place(&mut world, 10, 700, HOUR_MS);
        let answer = world.one(T0, &capture(id(0, 20), held(10), amount));
        let paid = i64::try_from(taken).unwrap();
        assert_eq!(answer.outcome, committed(0, taken, (1_000 - paid, paid)));
        assert_eq!(amounts(&world), (1_000 - paid, 0, paid, 0));
        assert_eq!(world.ledger.open_hold(held(10)), None);
        let position = world.ledger.position().unwrap();
        assert_eq!(world.ledger.find_recent_resolution(held(10)), Some((position, 0)));
    }
}

#[test]
fn a_hold_is_closed_once() {
    let closings: [fn(u128) -> Command; 3] = [
        |number| capture(id(0, number), held(10), None),
        |number| capture(id(0, number), held(10), Some(1)),
        |number| void(id(0, number), held(10)),
    ];
    for first in closings {
        for second in closings {
            let mut world = world();
            place(&mut world, 10, 700, HOUR_MS);
            let answers = world.entry(T0, &[first(20), second(21), first(20)]);
            assert_eq!(code(&answers[0]), None);
            assert_eq!(code(&answers[1]), Some(Rejection::HoldNotOpen));
            assert_eq!(answers[2].outcome, answers[0].outcome, "a replay");
            assert_eq!(world.ledger.find_recent_resolution(held(10)), Some((6, 0)));
        }
    }
}

#[test]
fn a_released_amount_is_available_again() {
    let mut world = world();
    place(&mut world, 10, 700, HOUR_MS);
    let answer = world.one(T0, &void(id(0, 20), held(10)));
    assert_eq!(answer.outcome, committed(0, 700, (0, 0)));
    assert_eq!(amounts(&world), (1_000, 0, 0, 0));
    assert_eq!(world.ledger.open_hold(held(10)), None);
}

#[test]
fn a_hold_expires_by_the_entrys_time_before_its_release_is_written() {
    let at = T0 + 5_000_000;
    for (time, expected) in [(at - 1, None), (at, Some(Rejection::HoldNotOpen))] {
        for command in [capture(id(0, 20), held(10), None), void(id(0, 20), held(10))] {
            let mut world = world();
            place(&mut world, 10, 700, 5_000);
            assert_eq!(world.ledger.open_hold(held(10)).unwrap().expires_at, at);
            assert_eq!(code(&world.one(time, &command)), expected, "{command:?}");
            let open = expected.is_some();
            assert_eq!(
                world.ledger.open_hold(held(10)).is_some(),
                open,
                "its release isn't written"
            );
            assert_eq!(amounts(&world).1, if open { 700 } else { 0 });
        }
    }
}

#[test]
fn only_open_and_due_holds_are_released() {
    let mut world = world();
    place(&mut world, 10, 100, 5_000);
    place(&mut world, 11, 200, 6_000);
    let passed = Answer { outcome: committed(Outcome::NO_INDEX, 0, (0, 0)), first: None };
    let digest =
        |world: &World| (world.ledger.tables.accounts.digest, world.ledger.tables.outcomes);
    let before = digest(&world);
    let early = world.entry(T0 + 4_999_999, &[expire(held(10)), expire(held(99))]);
    assert_eq!(early, [passed, passed]);
    assert_eq!(digest(&world), before);
    let answers =
        world.entry(T0 + 5_000_000, &[expire(held(11)), expire(held(10)), expire(held(10))]);
    assert_eq!(answers[0], passed, "not due");
    assert_eq!(answers[1].outcome, committed(0, 100, (0, 0)));
    assert_eq!(answers[2], passed, "not open");
    assert_eq!(amounts(&world), (1_000, 200, 0, 1));
    assert_eq!(world.ledger.find_recent_resolution(held(10)), Some((8, 1)));
    let decided = world.ledger.outcomes_of(8).unwrap();
    assert!(decided.iter().all(|decided| decided.outcome.index != 0 || decided.is_recorded()));
}

#[test]
fn due_holds_are_ordered_by_time_and_id() {
    let mut world = world();
    for (number, expires_in_ms) in [(12, 3), (10, 3), (11, 2), (13, 9)] {
        place(&mut world, number, 1, expires_in_ms);
    }
    let due =
        |world: &World, after_ms: u64, max| world.ledger.due_holds(T0 + after_ms * 1_000, max);
    assert_eq!(world.ledger.next_expiry(), Some(T0 + 2_000));
    assert_eq!(due(&world, 1, 9), []);
    assert_eq!(due(&world, 2, 9), [held(11)]);
    assert_eq!(due(&world, 8, 9), [held(11), held(10), held(12)]);
    assert_eq!(due(&world, 9, 2), [held(11), held(10)]);
    world.entry(T0, &[capture(id(0, 20), held(11), None), void(id(0, 21), held(12))]);
    assert_eq!(due(&world, 9, 9), [held(10), held(13)]);
    assert_eq!(world.ledger.next_expiry(), Some(T0 + 3_000));
    world.entry(T0 + 9_000, &[expire(held(10)), expire(held(13))]);
    assert_eq!(world.ledger.next_expiry(), None);
}

#[test]
fn a_frozen_wallets_hold_can_be_voided_but_not_captured() {
    let frozen = |world: &mut World| {
        place(world, 10, 700, 5_000);
        let freeze = set_status(id(0, 5), WALLET, AccountStatus::Frozen);
        assert_eq!(code(&world.one(T0, &freeze)), None);
    };
    let mut world = world();
    frozen(&mut world);
    let taken = world.one(T0, &capture(id(0, 20), held(10), None));
    assert_eq!(code(&taken), Some(Rejection::AccountFrozen));
    assert_eq!(code(&world.one(T0, &void(id(0, 21), held(10)))), None);
    let mut world = self::world();
    frozen(&mut world);
    assert_eq!(code(&world.one(T0 + 5_000_000, &expire(held(10)))), None);
    assert_eq!(amounts(&world), (1_000, 0, 0, 0));
    // A frozen merchant is paid.
    let mut world = self::world();
    place(&mut world, 10, 700, 5_000);
    world.one(T0, &set_status(id(0, 5), SHOP, AccountStatus::Frozen));
    assert_eq!(code(&world.one(T0, &capture(id(0, 20), held(10), None))), None);
}

#[test]
fn accounts_with_holds_cannot_be_closed() {
    let mut world = world();
    place(&mut world, 10, 1_000, HOUR_MS);
    let close = |number, account| set_status(id(0, number), account, AccountStatus::Closed);
    let not_empty = Some(Rejection::AccountNotEmpty);
    assert_eq!(code(&world.one(T0, &close(30, SHOP))), not_empty, "nothing posted, one incoming");
    assert_eq!(code(&world.one(T0, &close(31, WALLET))), not_empty);
    world.one(T0, &void(id(0, 20), held(10)));
    assert_eq!(code(&world.one(T0, &close(32, SHOP))), None);
}

#[test]
fn held_amounts_are_at_most_the_largest_amount() {
    let mut world = world();
    let top_up = transfer(id(0, 2), TransferKind::TopUp, (BANK, WALLET), AMOUNT_MAX - 1_000, "KRW");
    assert_eq!(code(&world.one(T0, &top_up)), None);
    place(&mut world, 10, AMOUNT_MAX, HOUR_MS);
    let broke = Some(Rejection::InsufficientFunds);
    assert_eq!(code(&world.one(T0, &hold(held(11), PARTIES, 1, HOUR_MS))), broke);
    let max = i64::try_from(AMOUNT_MAX).unwrap();
    assert_eq!(amounts(&world), (max, max, 0, 1));
    assert_eq!(code(&world.one(T0, &capture(id(0, 20), held(10), None))), None);
    assert_eq!(amounts(&world), (0, 0, max, 0));
}

/// Closed holds aren't in memory: they are looked up like any other id.
#[test]
fn a_closed_hold_and_an_unknown_one_differ_forever() {
    let mut world = world();
    place(&mut world, 10, 5, HOUR_MS);
    place(&mut world, 11, 5, HOUR_MS);
    world.one(T0, &capture(id(0, 20), held(10), None));
    let top_ups: Vec<_> = (0..u128::try_from(COMMANDS_MAX).unwrap())
        .map(|number| {
            let id = id(1, 1_000 + number);
            transfer(id, TransferKind::TopUp, (BANK, WALLET), 1, "KRW")
        })
        .collect();
    world.entry(T0, &top_ups[..COMMANDS_MAX]);
    world.one(T0, &top_ups[0]);
    let last = world.next_position() - 1;
    world.journal.sealed_through = Some(last);
    drop(world.ledger.forget_through(last));
    assert_eq!(world.ledger.find_recent_resolution(held(10)), None, "its entry is sealed");
    let later = T0 + 10 * HORIZON_MS * 1_000;
    let fresh = |number| id(i64::try_from(10 * HORIZON_MS).unwrap(), number);
    for (number, target, expected) in [
        (1, held(10), Some(Rejection::HoldNotOpen)),
        (2, held(12), Some(Rejection::HoldNotFound)),
        (3, id(0, 1), Some(Rejection::HoldNotFound)),
        (4, held(11), None),
    ] {
        let answer = world.one(later, &void(fresh(number), target));
        assert_eq!(code(&answer), expected, "{number}");
    }
}

/// The capture's id is as old as forgotten ones and still new: the refund needs the hold's command.
#[test]
fn a_capture_with_an_old_id_is_refunded_in_its_entry() {
    let mut world = world();
    place(&mut world, 10, 5, HOUR_MS);
    world.seal();
    let captured = capture(id(0, 20), held(10), None);
    let memo = Text::default();
    let refund = Command::Refund(Refund { id: id(0, 30), payment: id(0, 20), amount: None, memo });
    let answers = world.entry(T0, &[captured, refund]);
    assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), [None, None]);
    assert_eq!(answers[1].outcome.amount, 5);
}

#[test]
fn a_disagreement_about_held_amounts_is_a_fault() {
    let mut world = world();
    place(&mut world, 10, 700, HOUR_MS);
    let amiss = crate::OpenHold { amount: 699, ..world.ledger.open_hold(held(10)).unwrap() };
    world.ledger.tables.holds.set(held(10), Some(amiss));
    let fault = world.try_body(T0, body(&[])).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "position 6: accounts and open holds disagree about the held amounts"
    );
    let mut world = self::world();
    place(&mut world, 10, 700, HOUR_MS);
    let wallet = world.ledger.tables.accounts.find(WALLET).unwrap();
    let number = world.ledger.tables.accounts.row(wallet).extra;
    world.ledger.tables.accounts.extras[usize::try_from(number - 1).unwrap()].held = 699;
    let found = loop {
        match world.ledger.audit_next(1) {
            Ok(AuditProgress::Agreed { .. }) => panic!("it doesn't agree"),
            Ok(AuditProgress::Underway { .. }) => {}
            Err(fault) => break fault.to_string(),
        }
    };
    assert_eq!(found, "audit at position 5: the rows' held amounts aren't the running sum");
}
