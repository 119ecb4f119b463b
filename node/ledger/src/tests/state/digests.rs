//! Different states have different digests.

use std::collections::BTreeSet;

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    command::Command,
    genesis::Genesis,
    transfer::TransferKind,
};

use crate::tables::accounts::{account_state::AccountState, extra::Extra};
use crate::tests::support::{history::*, world::*};

#[test]
fn every_step_has_its_own_digest() {
    use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let history = histories().new_tree(&mut runner).unwrap().current();
    let mut world = World::empty();
    let mut digests = BTreeSet::from([world.ledger.digest()]);
    for event in history.0.iter() {
        world.apply_event(event);
        assert!(digests.insert(world.ledger.digest()));
    }
}

#[test]
fn a_different_genesis_is_a_different_digest() {
    let other = [
        Genesis { cluster: evenkeel_wire::id::ClusterId([8; 16]), ..genesis() },
        Genesis { assets: vec![asset("POINT"), asset("KRW")], ..genesis() },
        Genesis { wallet_max_balance: 1, ..genesis() },
        Genesis { id_horizon_ms: 1, ..genesis() },
        Genesis { id_tolerance_ms: 1, ..genesis() },
        Genesis { time_zone: evenkeel_wire::transfer::Text::new("UTC").unwrap(), ..genesis() },
        Genesis { operator_key: [8; 32], ..genesis() },
    ];
    let mut digests = BTreeSet::from([World::bootstrapped().ledger.digest()]);
    for genesis in other {
        let mut world = World::empty();
        world.entry(T0, &[Command::Genesis(Box::new(genesis))]);
        assert!(digests.insert(world.ledger.digest()));
    }
}

/// Two histories with the same balances but different outcomes.
#[test]
fn a_different_outcome_is_a_different_digest() {
    let (bank, wallet) = (account(1), account(2));
    let outcome_of = |number, amount, kind| {
        let mut world = World::bootstrapped();
        world.open(bank, AccountKind::Bank, "KRW");
        world.open(wallet, AccountKind::Wallet, "KRW");
        world.one(T0, &transfer(id(0, number), kind, (wallet, bank), amount, "KRW"));
        assert_eq!(world.posted(bank), 0);
        world.ledger.digest()
    };
    let insufficient = outcome_of(1, 5, TransferKind::CashOut);
    assert_eq!(insufficient, outcome_of(1, 5, TransferKind::CashOut));
    assert_ne!(insufficient, outcome_of(1, 0, TransferKind::CashOut), "another code");
    assert_ne!(insufficient, outcome_of(2, 5, TransferKind::CashOut), "another id");
}

#[test]
fn every_number_is_part_of_the_digest() {
    let changes: &[fn(&mut World)] = &[
        |world| world.ledger.tables.accounts.digest ^= 1,
        |world| world.ledger.tables.accounts.totals.change(0, AccountKind::Bank, 1),
        |world| world.ledger.tables.outcomes.count += 1,
        |world| world.ledger.tables.outcomes.sum += 1,
        |world| world.ledger.tables.time += 1,
        |world| world.ledger.tables.last.as_mut().unwrap().position += 1,
        |world| world.ledger.tables.genesis = None,
    ];
    let before = World::bootstrapped().ledger.digest();
    for change in changes {
        let mut world = World::bootstrapped();
        change(&mut world);
        assert_ne!(world.ledger.digest(), before);
    }
}

#[test]
fn limits_and_holds_are_part_of_an_accounts_digest() {
    let changes: &[fn(&mut Extra)] = &[
        |_| {},
        |extra| extra.max_balance = 5,
        |extra| extra.per_transfer = 5,
        |extra| extra.daily_debit = 5,
        |extra| extra.held = 5,
        |extra| extra.incoming_holds = 5,
    ];
    let mut world = World::bootstrapped();
    world.open(account(1), AccountKind::Wallet, "KRW");
    world.open(account(2), AccountKind::Wallet, "KRW");
    let mut digests = BTreeSet::new();
    for slot in [0, 1] {
        let standing = world.ledger.tables.accounts.account_state(slot);
        for change in changes {
            let mut extra = standing.extra;
            change(&mut extra);
            world
                .ledger
                .tables
                .accounts
                .set_state(slot, &AccountState { extra, ..standing })
                .unwrap();
            digests.insert(world.ledger.tables.accounts.digest);
            world.ledger.tables.accounts.set_state(slot, &standing).unwrap();
        }
    }
    assert_eq!(digests.len(), 11, "all differ, except for the two that changed nothing");
}

#[test]
fn every_field_of_a_row_is_part_of_its_digest() {
    use crate::tables::accounts::{BalanceRow, digest};
    let changes: &[fn(&mut BalanceRow)] = &[
        |row| row.posted += 1,
        |row| row.posted = -row.posted,
        |row| row.changed_position += 1,
        |row| row.fixed ^= 1,
        |row| row.debited_today += 1,
        |row| row.debited_date += 1,
        |row| row.status = AccountStatus::Frozen,
    ];
    let mut world = World::bootstrapped();
    world.open(account(1), AccountKind::Bank, "KRW");
    world.open(account(2), AccountKind::Wallet, "KRW");
    world.one(T0, &transfer(id(0, 1), TransferKind::TopUp, (account(1), account(2)), 9, "KRW"));
    for number in 0..2 {
        let row = &world.ledger.tables.accounts.rows[number];
        for change in changes {
            let mut changed = row.clone();
            change(&mut changed);
            assert_ne!(digest::row(&changed), digest::row(row));
        }
    }
}
