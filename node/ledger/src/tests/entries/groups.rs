//! Atomic groups: all of their commands are committed, or none leaves a trace.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    command::Command,
    id::AccountId,
    limits::COMMANDS_MAX,
    outcome::{Outcome, Rejection},
    transfer::TransferKind,
};
use proptest::prelude::*;

use crate::tests::{
    state::checkpoints::rows_of,
    support::{commands::*, history::*, world::*},
};
use crate::{AppliedCounts, AuditProgress};

const BANK: AccountId = account(1);
const WALLET: AccountId = account(2);
const SHOP: AccountId = account(3);
const NEW: AccountId = account(4);

fn world() -> World {
    let mut world = World::bootstrapped();
    world.open(BANK, AccountKind::Bank, "KRW");
    world.open(WALLET, AccountKind::Wallet, "KRW");
    world.open(SHOP, AccountKind::Merchant, "KRW");
    assert_eq!(code(&world.one(T0, &top_up(1, 100))), None);
    world
}

fn top_up(number: u128, amount: u64) -> Command {
    transfer(id(0, number), TransferKind::TopUp, (BANK, WALLET), amount, "KRW")
}

fn pay(number: u128, amount: u64) -> Command {
    transfer(id(0, number), TransferKind::Payment, (WALLET, SHOP), amount, "KRW")
}

fn codes(answers: &[evenkeel_wire::outcome::Answer]) -> Vec<Option<Rejection>> {
    answers.iter().map(|answer| answer.outcome.rejection).collect()
}

#[test]
fn a_committed_group_equals_its_single_commands() {
    let mut one = world();
    let mut other = world();
    let commands = [
        pay(2, 60),
        pay(3, 40),
        open(NEW, AccountKind::Wallet, "KRW", ""),
        transfer(id(0, 4), TransferKind::TopUp, (BANK, NEW), 9, "KRW"),
        hold(id(0, 5), (NEW, SHOP), 9, 1_000),
        capture(id(0, 6), id(0, 5), Some(4)),
    ];
    assert_eq!(one.together(T0, &commands), other.entry(T0, &commands));
    assert_eq!(one.ledger.digest(), other.ledger.digest());
    assert_eq!(one.ledger.find_recent_resolution(id(0, 5)), Some((5, 5)));
}

#[test]
fn a_group_with_a_rejection_changes_nothing_and_records_nothing() {
    let mut world = world();
    let before = rows_of(&mut world.ledger);
    let group = [pay(2, 60), pay(3, 41), pay(4, 1)];
    let (applied, answers) = world.try_body(T0, body_of(&[(true, group.to_vec())])).unwrap();
    assert_eq!(applied, AppliedCounts { commands: 3, committed: 0, rejected: 3, replayed: 0 });
    let (failed, why) = (Some(Rejection::BatchFailed), Some(Rejection::InsufficientFunds));
    assert_eq!(codes(&answers), [failed, why, failed]);
    for answer in &answers {
        assert_eq!((answer.outcome.index, answer.first), (Outcome::NO_INDEX, None));
        assert_eq!(answer.outcome.amount, 0);
    }
    assert_eq!(rows_of(&mut world.ledger), before);
    let decided = world.ledger.outcomes_of(5).unwrap();
    assert_eq!(decided.len(), 3);
    assert!(decided.iter().all(|decided| !decided.replayed && !decided.is_recorded()));
    // Each id may come again, with the same or other content.
    assert_eq!(code(&world.one(T0, &pay(2, 60))), None);
    assert_eq!(code(&world.one(T0, &pay(3, 40))), None);
}

#[test]
fn groups_of_one_entry_are_decided_independently() {
    let mut world = world();
    let groups = [
        (false, vec![pay(2, 50)]),
        (true, vec![pay(3, 30), pay(4, 30)]),
        (false, vec![pay(5, 10)]),
        (true, vec![pay(6, 20), pay(7, 20)]),
        (true, vec![pay(8, 1)]),
        (true, vec![]),
        (true, vec![pay(9, 1), pay(2, 50)]),
        (false, vec![pay(3, 5)]),
        (false, vec![pay(8, 1)]),
    ];
    let (_, answers) = world.try_body(T0, body_of(&groups)).unwrap();
    let (failed, broke) = (Some(Rejection::BatchFailed), Some(Rejection::InsufficientFunds));
    assert_eq!(
        codes(&answers),
        [None, failed, broke, None, None, None, broke, broke, failed, broke, broke]
    );
    let none = Outcome::NO_INDEX;
    let indexes: Vec<_> = answers.iter().map(|answer| answer.outcome.index).collect();
    assert_eq!(indexes, [0, none, none, 1, 2, 3, none, none, none, 4, 5]);
}

#[test]
fn a_replay_is_committed_in_a_group_unless_it_was_a_rejection() {
    let mut world = world();
    let first = world.one(T0, &pay(2, 60));
    let rejected = world.one(T0, &pay(3, 60));
    assert_eq!(code(&rejected), Some(Rejection::InsufficientFunds));
    let answers = world.together(T0, &[pay(2, 60), pay(4, 1)]);
    let (head, _) = &world.journal.entries[5];
    assert_eq!((answers[0].outcome, answers[0].first), (first.outcome, Some(head.stamp())));
    assert_eq!((code(&answers[1]), answers[1].outcome.index), (None, 0));
    let answers = world.together(T0, &[pay(5, 1), pay(3, 60)]);
    assert_eq!(codes(&answers), [Some(Rejection::BatchFailed), Some(Rejection::InsufficientFunds)]);
    let answers = world.together(T0, &[pay(6, 1), pay(2, 61)]);
    assert_eq!(codes(&answers), [Some(Rejection::BatchFailed), Some(Rejection::IdReused)]);
    let answers = world.together(T0, &[pay(7, 1), pay(7, 1), pay(7, 2)]);
    let failed = Some(Rejection::BatchFailed);
    assert_eq!(codes(&answers), [failed, failed, Some(Rejection::IdReused)]);
    let answers = world.together(T0, &[pay(7, 1), pay(7, 1)]);
    assert_eq!(codes(&answers), [None, None]);
    assert_eq!(answers[1].first, Some(world.journal.entries[11].0.stamp()));
}

/// A group makes every kind of change, then fails.
#[test]
fn every_kind_of_change_is_undone() {
    let mut world = world();
    world.entry(
        T0,
        &[hold(id(0, 10), (WALLET, SHOP), 10, 9_000), hold(id(0, 11), (WALLET, SHOP), 10, 9_000)],
    );
    let before = (rows_of(&mut world.ledger), world.ledger.next_expiry());
    let fails = pay(99, 1_000);
    let group = [
        open(NEW, AccountKind::Merchant, "KRW", "new"),
        open_limited(account(5), AccountKind::Wallet, "KRW", limits(Some(5), None, None)),
        top_up(2, 50),
        pay(3, 20),
        hold(id(0, 12), (WALLET, NEW), 5, 1_000),
        capture(id(0, 4), id(0, 10), Some(3)),
        void(id(0, 5), id(0, 11)),
        void(id(0, 6), id(0, 12)),
        set_limits(id(0, 7), NEW, limits(None, Some(1), None)),
        set_limits(id(0, 8), BANK, limits(None, None, Some(7))),
        set_status(id(0, 9), NEW, AccountStatus::Closed),
        set_status(id(0, 13), WALLET, AccountStatus::Frozen),
        set_status(id(0, 14), WALLET, AccountStatus::Open),
        fails,
    ];
    let answers = world.together(T0, &group);
    assert_eq!(answers[13].outcome.rejection, Some(Rejection::InsufficientFunds));
    assert_eq!((rows_of(&mut world.ledger), world.ledger.next_expiry()), before);
    assert_eq!(world.ledger.account(NEW), None);
    assert_eq!(world.ledger.find_recent_resolution(id(0, 10)), None);
    // Without the last command, all of it is committed.
    let answers = world.together(T0, &group[..13]);
    assert_eq!(codes(&answers), [None; 13]);
    assert_eq!(world.ledger.find_recent_resolution(id(0, 10)), Some((7, 5)));
}

/// The tables of ids grow in the group; accounts from before it are still found.
#[test]
fn after_a_failed_group_of_many_openings_the_others_are_found() {
    let mut world = world();
    let before = rows_of(&mut world.ledger);
    let numbers = || 1_000..1_000 + u128::try_from(COMMANDS_MAX).unwrap() - 1;
    let opening = |number| {
        let own = limits(None, None, (number % 3 == 0).then_some(5));
        open_limited(account(number), AccountKind::Wallet, "KRW", own)
    };
    let mut group: Vec<_> = numbers().map(opening).collect();
    group.push(pay(2, 101));
    for _ in 0..2 {
        let answers = world.together(T0, &group);
        let last = answers.last().unwrap().outcome.rejection;
        assert_eq!(last, Some(Rejection::InsufficientFunds));
        assert_eq!(rows_of(&mut world.ledger), before);
        assert_eq!(world.ledger.account_count(), 3);
    }
    while let AuditProgress::Underway { .. } = world.ledger.audit_next(5).unwrap() {}
    group.pop();
    assert_eq!(codes(&world.together(T0, &group)), vec![None; COMMANDS_MAX - 1]);
    while let AuditProgress::Underway { .. } = world.ledger.audit_next(5_000).unwrap() {}
    for number in numbers() {
        assert_eq!(world.ledger.account(account(number)).unwrap().id, account(number));
    }
}

#[test]
fn a_group_has_no_genesis() {
    let mut world = World::empty();
    let genesis = Command::Genesis(Box::new(genesis()));
    let fault = world.try_body(T0, body_of(&[(true, vec![genesis])])).unwrap_err();
    assert_eq!(fault.to_string(), "position 0: genesis in an atomic group");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A ledger with failed groups and one with empty entries in their places behave alike.
    #[test]
    fn a_failed_group_leaves_no_trace(
        history in histories(),
        groups in proptest::collection::vec(proptest::collection::vec(any_command(), 1..8), 30),
    ) {
        let mut one = World::empty();
        let mut other = World::empty();
        for (event, mut group) in history.0.iter().zip(groups) {
            prop_assert_eq!(one.apply_event(event), other.apply_event(event));
            if one.ledger.genesis().is_none() {
                continue;
            }
            // The account is unknown: this group always fails.
            group.push(top_up_of_nobody());
            let before = one.ledger.digest();
            let time = one.ledger.time();
            let size = group.len();
            let answers = one.together(time, &group);
            prop_assert_eq!(answers.len(), size);
            prop_assert!(answers.iter().all(|answer| answer.outcome.index == Outcome::NO_INDEX));
            other.entry(time, &[]);
            prop_assert_ne!(one.ledger.digest(), before, "the position advanced");
            prop_assert_eq!(rows_of(&mut one.ledger), rows_of(&mut other.ledger));
            prop_assert_eq!(one.ledger.digest(), other.ledger.digest());
            while let AuditProgress::Underway { .. } = one.ledger.audit_next(5).unwrap() {}
        }
    }
}
