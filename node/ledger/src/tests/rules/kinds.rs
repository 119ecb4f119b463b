//! Every kind of transfer between every two kinds of accounts.

use evenkeel_wire::{
    account::AccountKind::{self, Bank, Fee, Issuer, Merchant, Wallet},
    outcome::Rejection,
    transfer::TransferKind,
};

use crate::tests::support::world::*;

const ALLOWED: &[(TransferKind, AccountKind, AccountKind)] = &[
    (TransferKind::TopUp, Bank, Wallet),
    (TransferKind::Transfer, Wallet, Wallet),
    (TransferKind::Payment, Wallet, Merchant),
    (TransferKind::CashOut, Wallet, Bank),
    (TransferKind::CashOut, Merchant, Bank),
    (TransferKind::Fee, Wallet, Fee),
    (TransferKind::Fee, Merchant, Fee),
    (TransferKind::Grant, Issuer, Wallet),
];

#[test]
fn only_the_documented_kinds_are_allowed() {
    let mut world = World::bootstrapped();
    let payer = |kind: AccountKind| account(u128::from(kind.byte()));
    let payee = |kind: AccountKind| account(100 + u128::from(kind.byte()));
    for kind in AccountKind::ALL {
        world.open(payer(*kind), *kind, "KRW");
        world.open(payee(*kind), *kind, "KRW");
    }
    let mut number = 0;
    for kind in TransferKind::ALL {
        for from in AccountKind::ALL {
            for to in AccountKind::ALL {
                number += 1;
                let parties = (payer(*from), payee(*to));
                let answer = world.one(T0, &transfer(id(0, number), *kind, parties, 1, "KRW"));
                let expected = if !ALLOWED.contains(&(*kind, *from, *to)) {
                    Some(Rejection::KindNotAllowed)
                } else if matches!(from, Bank | Issuer) {
                    None
                } else {
                    Some(Rejection::InsufficientFunds)
                };
                assert_eq!(code(&answer), expected, "{kind} from {from} to {to}");
            }
        }
    }
}

#[test]
fn only_banks_and_issuers_go_below_zero() {
    for kind in AccountKind::ALL {
        let mut world = World::bootstrapped();
        let (payer, payee) = (account(1), account(2));
        let Some((transfer_kind, _, to)) = ALLOWED.iter().find(|(_, from, _)| from == kind) else {
            assert_eq!(*kind, Fee, "fee accounts pay nothing");
            continue;
        };
        world.open(payer, *kind, "POINT");
        world.open(payee, *to, "POINT");
        let answer = world.one(T0, &transfer(id(0, 1), *transfer_kind, (payer, payee), 1, "POINT"));
        if matches!(kind, Bank | Issuer) {
            assert_eq!(code(&answer), None);
            assert_eq!((world.posted(payer), world.posted(payee)), (-1, 1));
        } else {
            assert_eq!(code(&answer), Some(Rejection::InsufficientFunds));
            assert_eq!((world.posted(payer), world.posted(payee)), (0, 0));
        }
    }
}

#[test]
fn a_wallet_holds_at_most_what_genesis_allows_and_others_hold_any_amount() {
    let mut world = World::empty();
    let limited = evenkeel_wire::genesis::Genesis { wallet_max_balance: 1_000, ..genesis() };
    world.entry(T0, &[evenkeel_wire::command::Command::Genesis(Box::new(limited))]);
    let (bank, wallet, merchant) = (account(1), account(2), account(3));
    world.open(bank, Bank, "KRW");
    world.open(wallet, Wallet, "KRW");
    world.open(merchant, Merchant, "KRW");
    assert_eq!(world.ledger.account(wallet).unwrap().max_balance, Some(1_000));
    assert_eq!(world.ledger.account(merchant).unwrap().max_balance, None);
    let top_up = |number, amount| {
        transfer(id(0, number), TransferKind::TopUp, (bank, wallet), amount, "KRW")
    };
    let pay = |number, amount| {
        transfer(id(0, number), TransferKind::Payment, (wallet, merchant), amount, "KRW")
    };
    let answers = world.entry(
        T0,
        &[
            top_up(1, 1_001),
            top_up(2, 1_000),
            top_up(3, 1),
            pay(4, 900),
            top_up(5, 900),
            pay(6, 900),
        ],
    );
    let full = Some(Rejection::MaxBalanceExceeded);
    let codes: Vec<_> = answers.iter().map(code).collect();
    assert_eq!(codes, [full, None, full, None, None, None]);
    assert_eq!((world.posted(wallet), world.posted(merchant)), (100, 1_800));
}
