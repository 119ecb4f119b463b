//! Statuses and limits of accounts. The order of checks is tested in `precedence`.

use evenkeel_wire::{
    account::{
        AccountKind,
        AccountStatus::{Closed, Frozen, Open},
        LimitChange, Limits,
    },
    amount::Amount,
    id::AccountId,
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::TransferKind::{self, CashOut, Fee, Grant, Payment, TopUp, Transfer},
};

use crate::tests::support::{commands::*, world::*};

const BANK: AccountId = account(1);
const WALLET: AccountId = account(2);
const OTHER: AccountId = account(3);
const SHOP: AccountId = account(4);
const FEES: AccountId = account(5);

fn world() -> World {
    let mut world = World::bootstrapped();
    for (account, kind) in [
        (BANK, AccountKind::Bank),
        (WALLET, AccountKind::Wallet),
        (OTHER, AccountKind::Wallet),
        (SHOP, AccountKind::Merchant),
        (FEES, AccountKind::Fee),
    ] {
        world.open(account, kind, "KRW");
    }
    assert_eq!(pay(&mut world, 1, TopUp, (BANK, WALLET), 1_000), None);
    world
}

fn pay(
    world: &mut World,
    number: u128,
    kind: TransferKind,
    parties: (AccountId, AccountId),
    amount: u64,
) -> Option<Rejection> {
    code(&world.one(T0, &transfer(id(0, number), kind, parties, amount, "KRW")))
}

fn change(world: &mut World, number: u128, limits: Limits) {
    assert_eq!(code(&world.one(T0, &set_limits(id(0, number), WALLET, limits))), None);
}

#[test]
fn a_frozen_account_pays_nothing_and_may_be_paid() {
    let mut world = world();
    let frozen = world.one(T0, &set_status(id(0, 2), WALLET, Frozen));
    assert_eq!(code(&frozen), None);
    assert_eq!(world.ledger.account(WALLET).unwrap().status, Frozen);
    assert_eq!(pay(&mut world, 3, CashOut, (WALLET, BANK), 1), Some(Rejection::AccountFrozen));
    assert_eq!(pay(&mut world, 4, TopUp, (BANK, WALLET), 1), None);
    assert_eq!(code(&world.one(T0, &set_status(id(0, 5), WALLET, Frozen))), None, "again");
    assert_eq!(code(&world.one(T0, &set_status(id(0, 6), WALLET, Open))), None);
    assert_eq!(code(&world.one(T0, &set_status(id(0, 7), WALLET, Open))), None, "again");
    assert_eq!(pay(&mut world, 8, CashOut, (WALLET, BANK), 1_001), None);
    assert_eq!(code(&world.one(T0, &set_status(id(0, 9), WALLET, Closed))), None);
    assert_eq!(pay(&mut world, 10, TopUp, (BANK, WALLET), 1), Some(Rejection::AccountClosed));
    assert_eq!(world.ledger.account(WALLET).unwrap().status, Closed);
}

#[test]
fn limits_change_one_by_one_and_clear() {
    let mut world = world();
    let shown = |world: &World| {
        let view = world.ledger.account(WALLET).unwrap();
        (view.max_balance, view.per_transfer, view.daily_debit)
    };
    assert_eq!(shown(&world), (Some(AMOUNT_MAX), None, None), "those of genesis");
    change(&mut world, 2, limits(None, Some(50), None));
    assert_eq!(shown(&world), (Some(AMOUNT_MAX), Some(50), None));
    change(&mut world, 3, limits(Some(70), None, Some(0)));
    assert_eq!(shown(&world), (Some(70), Some(50), Some(0)));
    change(&mut world, 4, Limits { max_balance: LimitChange::Clear, ..Limits::default() });
    assert_eq!(shown(&world), (None, Some(50), Some(0)));
    let plain = |world: &World| world.ledger.tables.accounts.digest;
    let before = plain(&world);
    change(&mut world, 5, Limits::default());
    assert_ne!(plain(&world), before, "the entry changed the account but not its limits");
    assert_eq!(shown(&world), (None, Some(50), Some(0)));
}

#[test]
fn each_kind_counts_for_the_day_or_does_not() {
    let debited = |kind, parties: (AccountId, AccountId)| {
        let mut world = world();
        world.open(account(6), AccountKind::Issuer, "KRW");
        assert_eq!(pay(&mut world, 2, kind, parties, 7), None, "{kind}");
        world.ledger.account(parties.0).unwrap().debited_today
    };
    for (kind, parties, counts) in [
        (TopUp, (BANK, WALLET), 0),
        (Grant, (account(6), WALLET), 0),
        (Transfer, (WALLET, OTHER), 7),
        (Payment, (WALLET, SHOP), 7),
        (CashOut, (WALLET, BANK), 7),
        (Fee, (WALLET, FEES), 7),
    ] {
        assert_eq!(debited(kind, parties), counts, "{kind}");
    }
    let mut world = world();
    assert_eq!(code(&world.one(T0, &hold(id(0, 2), (WALLET, SHOP), 7, 1_000))), None);
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, 7);
    // A capture doesn't count again, and a released hold still counts.
    assert_eq!(code(&world.one(T0, &capture(id(0, 3), id(0, 2), Some(5)))), None);
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, 7);
    assert_eq!(world.ledger.account(SHOP).unwrap().debited_today, 0);
}

#[test]
fn limits_are_exact() {
    let mut world = world();
    change(&mut world, 2, limits(None, Some(50), Some(120)));
    let (once, daily) =
        (Some(Rejection::PerTransferLimitExceeded), Some(Rejection::DailyLimitExceeded));
    for (number, amount, expected) in
        [(3, 51, once), (4, 50, None), (5, 50, None), (6, 21, daily), (7, 20, None), (8, 1, daily)]
    {
        assert_eq!(pay(&mut world, number, Payment, (WALLET, SHOP), amount), expected, "{number}");
    }
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, 120);
    change(&mut world, 9, limits(None, None, Some(121)));
    assert_eq!(pay(&mut world, 10, Payment, (WALLET, SHOP), 1), None);
    // Credits aren't limited by limits of debits.
    assert_eq!(pay(&mut world, 11, TopUp, (BANK, WALLET), 500), None);
    change(&mut world, 12, limits(None, Some(0), None));
    assert_eq!(pay(&mut world, 13, Payment, (WALLET, SHOP), 1), once);
}

/// An amount of 2^53-1 may move many times a day; the sum of the debits must not wrap.
#[test]
fn the_sum_of_a_days_debits_is_capped() {
    let mut world = world();
    assert_eq!(pay(&mut world, 2, TopUp, (BANK, WALLET), AMOUNT_MAX - 1_000), None);
    for number in 0..3_000 {
        let parties = if number % 2 == 0 { (WALLET, OTHER) } else { (OTHER, WALLET) };
        assert_eq!(pay(&mut world, 10 + number, Transfer, parties, AMOUNT_MAX), None);
    }
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, AMOUNT_MAX);
    change(&mut world, 3, limits(None, None, Some(AMOUNT_MAX)));
    let daily = Some(Rejection::DailyLimitExceeded);
    assert_eq!(pay(&mut world, 4, Transfer, (WALLET, OTHER), 1), daily);
    change(&mut world, 5, Limits { daily_debit: LimitChange::Clear, ..Limits::default() });
    assert_eq!(pay(&mut world, 6, Transfer, (WALLET, OTHER), 1), None);
}

#[test]
fn an_opening_replays_with_its_own_limits_after_they_changed() {
    let mut world = world();
    let opening =
        |daily| open_limited(account(9), AccountKind::Wallet, "KRW", limits(None, None, daily));
    let first = world.one(T0, &opening(Some(5)));
    assert_eq!(code(&first), None);
    let position = world.ledger.position().unwrap();
    let changed = set_limits(id(0, 2), account(9), limits(None, None, Some(8)));
    assert_eq!(code(&world.one(T0, &changed)), None);
    let again = world.one(T0, &opening(Some(5)));
    let (head, _) = &world.journal.entries[usize::try_from(position).unwrap()];
    assert_eq!((again.outcome, again.first), (first.outcome, Some(head.stamp())));
    for other in [opening(Some(8)), opening(None), opening(Some(6))] {
        assert_eq!(code(&world.one(T0, &other)), Some(Rejection::AccountExists));
    }
    let kept = LimitChange::Set(Amount(5));
    let more = Limits { max_balance: LimitChange::Clear, daily_debit: kept, ..Limits::default() };
    let more = open_limited(account(9), AccountKind::Wallet, "KRW", more);
    assert_eq!(code(&world.one(T0, &more)), Some(Rejection::AccountExists));
    assert_eq!(world.ledger.account(account(9)).unwrap().daily_debit, Some(8));
}

#[test]
fn an_account_may_be_opened_with_limits() {
    let mut world = world();
    let opening = Limits {
        max_balance: LimitChange::Clear,
        per_transfer: LimitChange::Set(Amount(3)),
        daily_debit: LimitChange::Keep,
    };
    for (number, kind) in [(20, AccountKind::Wallet), (21, AccountKind::Merchant)] {
        let opened = world.one(T0, &open_limited(account(number), kind, "KRW", opening));
        assert_eq!(code(&opened), None);
        let view = world.ledger.account(account(number)).unwrap();
        assert_eq!((view.max_balance, view.per_transfer, view.daily_debit), (None, Some(3), None));
    }
    assert_eq!(pay(&mut world, 2, TopUp, (BANK, account(20)), AMOUNT_MAX - 1_000), None);
    assert_eq!(
        pay(&mut world, 3, Payment, (account(20), SHOP), 4),
        Some(Rejection::PerTransferLimitExceeded)
    );
}
