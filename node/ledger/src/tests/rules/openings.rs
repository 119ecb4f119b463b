//! Opening accounts, and genesis.

use evenkeel_wire::{
    account::AccountKind,
    command::Command,
    genesis::Genesis,
    id::OPERATOR_KEY,
    outcome::{Outcome, Rejection},
};

use crate::check_genesis;
use crate::tests::support::world::*;

#[test]
fn the_same_opening_replays_and_other_content_is_account_exists() {
    let mut world = World::bootstrapped();
    let wallet = open(account(1), AccountKind::Wallet, "KRW", "Mina");
    let other = open(account(2), AccountKind::Bank, "KRW", "");
    let answers = world.entry(T0 + 5, &[other.clone(), wallet.clone(), wallet.clone()]);
    assert_eq!(answers[1].outcome.index, 1);
    assert_eq!(answers[2].outcome, answers[1].outcome, "again in the same entry");
    let first = world.journal.entries[1].0.stamp();
    assert_eq!(answers[2].first, Some(first));
    assert_eq!(world.ledger.account(account(1)).unwrap().opened_at, T0 + 5);

    let again = world.one(T0 + 90_000_000_000, &wallet);
    assert_eq!((again.outcome, again.first), (answers[1].outcome, Some(first)));
    for content in [
        open(account(1), AccountKind::Merchant, "KRW", "Mina"),
        open(account(1), AccountKind::Wallet, "POINT", "Mina"),
        open(account(1), AccountKind::Wallet, "EUR", "Mina"),
        open(account(1), AccountKind::Wallet, "KRW", "mina"),
        open(account(1), AccountKind::Wallet, "KRW", ""),
    ] {
        let answer = world.one(T0, &content);
        assert_eq!(code(&answer), Some(Rejection::AccountExists), "{content:?}");
    }
}

#[test]
fn an_unknown_asset_opens_nothing_and_is_judged_anew() {
    let mut world = World::bootstrapped();
    let euro = open(account(1), AccountKind::Bank, "EUR", "");
    let answers = world.entry(T0, &[euro.clone(), euro]);
    assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), [Some(Rejection::AssetMismatch); 2]);
    assert_eq!(answers[1].outcome.index, 1, "the second is no replay");
    assert_eq!(world.ledger.account(account(1)), None);
    world.open(account(1), AccountKind::Bank, "KRW");
}

#[test]
fn a_second_genesis_changes_nothing() {
    let mut world = World::bootstrapped();
    let first = world.journal.entries[0].0.stamp();
    let digest_of_genesis = world.ledger.tables.genesis.clone();
    let same = world.one(T0 + 1, &Command::Genesis(Box::new(genesis())));
    let outcome = Outcome { index: 0, rejection: None, amount: 0, debit_after: 0, credit_after: 0 };
    assert_eq!((same.outcome, same.first), (outcome, Some(first)));
    let other = Genesis { wallet_max_balance: 5, ..genesis() };
    let other = world.one(T0 + 2, &Command::Genesis(Box::new(other)));
    assert_eq!(code(&other), Some(Rejection::IdReused));
    assert_eq!(world.ledger.tables.genesis, digest_of_genesis);
}

#[test]
fn the_operator_key_is_found_by_its_hash_alone() {
    let world = World::bootstrapped();
    assert_eq!(world.ledger.key(&[9; 32]).map(|key| key.key), Some(OPERATOR_KEY));
    let mut wrong = [9; 32];
    wrong[31] ^= 1;
    assert_eq!(world.ledger.key(&wrong), None);
    assert_eq!(World::empty().ledger.key(&[9; 32]), None);
}

#[test]
fn an_invalid_genesis_is_a_fault() {
    let good = genesis();
    assert_eq!(check_genesis(&good), Ok(()));
    for (bad, names) in [
        (Genesis { assets: vec![], ..good.clone() }, "assets"),
        (Genesis { assets: vec![asset("KRW"), asset("KRW")], ..good.clone() }, "KRW"),
        (Genesis { wallet_max_balance: 0, ..good.clone() }, "wallet_max_balance"),
        (Genesis { wallet_max_balance: 1 << 53, ..good }, "wallet_max_balance"),
    ] {
        let what = check_genesis(&bad).unwrap_err();
        assert!(what.contains(names), "{what}");
        let mut world = World::empty();
        let fault = world.try_body(T0, body(&[Command::Genesis(Box::new(bad))])).unwrap_err();
        assert!(fault.to_string().contains(names), "{fault}");
    }
}
