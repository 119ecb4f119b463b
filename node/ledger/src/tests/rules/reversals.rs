//! Reversals: only of top-ups, cash-outs, fees and grants, whole, once, and each rule has its code.

use evenkeel_wire::{
    account::{AccountStatus::*, LimitChange},
    amount::Amount,
    command::Command,
    limits::AMOUNT_MAX,
    outcome::Rejection::{self, *},
    reversal::Reversal,
    transfer::{Text, TransferKind::*},
};

use super::precedence::documented;
use crate::tests::support::{shop::*, world::*};

type Row = (Vec<Command>, Command, Rejection);

/// One row per rejection, in the order of precedence; each breaks later rules as well if possible.
fn rows() -> Vec<Row> {
    let other = |id| Command::Reversal(Reversal { id, transfer: id, reason: Text::default() });
    let early = i64::try_from(TOLERANCE_MS).unwrap() + 1;
    let late = -i64::try_from(HORIZON_MS).unwrap() - 1;
    let spent = || moves(20, CashOut, (WALLET, BANK), 900);
    let cash_out = || moves(21, CashOut, (WALLET, BANK), 100);
    let frozen = || becomes(22, WALLET, Frozen);
    vec![
        (vec![], reversal(TOP_UP, 99), IdReused),
        (vec![], other(id(early, 9)), IdInFuture),
        (vec![], other(id(late, 9)), IdExpired),
        (vec![], reversal(9, 99), TransferNotFound),
        (vec![hold(8, 5)], reversal(9, 8), TransferNotFound),
        (vec![hold(7, 5), void(8, 7)], reversal(9, 8), TransferNotFound),
        (vec![frozen()], reversal(9, PAYMENT), ReversalNotAllowed),
        (vec![refund(8, PAYMENT, 5)], reversal(9, 8), ReversalNotAllowed),
        (vec![hold(7, 5), capture(8, 7, 5)], reversal(9, 8), ReversalNotAllowed),
        (vec![cash_out(), reversal(8, 21)], reversal(9, 8), ReversalNotAllowed),
        (vec![spent(), becomes(8, WALLET, Closed)], reversal(9, TOP_UP), AccountClosed),
        (
            vec![cash_out(), reversal(7, 21), spent(), becomes(8, WALLET, Closed)],
            reversal(9, 21),
            AccountClosed,
        ),
        (vec![spent(), frozen()], reversal(9, TOP_UP), AccountFrozen),
        (
            vec![cash_out(), reversal(7, 21), may_hold(8, WALLET, LimitChange::Set(Amount(0)))],
            reversal(9, 21),
            AlreadyReversed,
        ),
        (vec![], reversal(9, TOP_UP), InsufficientFunds),
        (
            vec![moves(8, TopUp, (BANK, WALLET), 100), hold(7, 1)],
            reversal(9, TOP_UP),
            InsufficientFunds,
        ),
        (
            vec![cash_out(), may_hold(8, WALLET, LimitChange::Set(Amount(899)))],
            reversal(9, 21),
            MaxBalanceExceeded,
        ),
        (
            vec![
                cash_out(),
                may_hold(8, WALLET, LimitChange::Clear),
                moves(7, Grant, (ISSUER, WALLET), AMOUNT_MAX - 800),
            ],
            reversal(9, 21),
            Overflow,
        ),
    ]
}

#[test]
fn each_broken_rule_has_its_code_and_the_first_one_is_the_answer() {
    let mut seen = Vec::new();
    for (number, (before, command, rejection)) in rows().into_iter().enumerate() {
        let mut world = shop();
        for command in before {
            world.commit(&command);
        }
        let totals = world.ledger.totals().assets;
        assert_eq!(world.code_of(&command), Some(rejection), "row {number}");
        assert_eq!(world.ledger.totals().assets, totals, "row {number}");
        seen.push(rejection);
    }
    assert!(seen.is_sorted(), "in the order of precedence");
    seen.dedup();
    assert_eq!(seen, documented("reversal"), "each code has its row");
}

#[test]
fn each_reversible_movement_is_reversed_completely_and_once() {
    for (kind, parties) in [
        (TopUp, (BANK, WALLET)),
        (CashOut, (WALLET, BANK)),
        (CashOut, (MERCHANT, BANK)),
        (Fee, (WALLET, FEE)),
        (Fee, (MERCHANT, FEE)),
        (Grant, (ISSUER, WALLET)),
    ] {
        let mut world = shop();
        let totals = world.ledger.totals().assets;
        world.commit(&moves(8, kind, parties, 70));
        assert_ne!(world.ledger.totals().assets, totals);
        let answer = world.one(T0, &reversal(9, 8));
        assert_eq!((code(&answer), answer.outcome.amount), (None, 70), "{kind}");
        assert_eq!(answer.outcome.credit_after, world.posted(parties.0), "the money moves back");
        assert_eq!(answer.outcome.debit_after, world.posted(parties.1));
        assert_eq!(world.ledger.totals().assets, totals, "{kind}");
        assert_eq!(world.ledger.reversed_by(id(0, 8)), Some(id(0, 9)));
        assert_eq!(world.code_of(&reversal(10, 8)), Some(AlreadyReversed));
        assert!(world.one(T0, &reversal(9, 8)).first.is_some(), "a replay");
        assert_eq!(world.ledger.totals().assets, totals);
    }
}

#[test]
fn one_of_two_concurrent_reversals_wins() {
    let mut world = shop();
    world.commit(&moves(8, Fee, (WALLET, FEE), 70));
    let answers = world.entry(T0, &[reversal(9, 8), reversal(10, 8)]);
    let codes: Vec<_> = answers.iter().map(code).collect();
    assert_eq!(codes, [None, Some(AlreadyReversed)]);
}

/// An account that is paid back may be frozen; one that pays back must not be.
#[test]
fn a_frozen_account_is_paid_back_but_pays_nothing_back() {
    let mut world = shop();
    world.commit(&moves(8, Fee, (WALLET, FEE), 70));
    world.commit(&becomes(9, WALLET, Frozen));
    world.commit(&reversal(10, 8));
    assert_eq!(world.code_of(&reversal(11, TOP_UP)), Some(AccountFrozen));
}

#[test]
fn a_failed_group_undoes_its_reversals() {
    let mut world = shop();
    world.commit(&moves(8, Fee, (WALLET, FEE), 70));
    let codes = world.atomic(&[reversal(9, 8), reversal(10, 8)]);
    assert_eq!(codes, [Some(BatchFailed), Some(AlreadyReversed)]);
    assert_eq!(world.ledger.reversed_by(id(0, 8)), None);
    assert_eq!(world.posted(FEE), 70);
    world.seal();
    assert_eq!(world.atomic(&[reversal(9, 8), moves(11, Fee, (WALLET, FEE), 1)]), [None; 2]);
    assert_eq!(world.posted(FEE), 1);
    world.seal();
    assert_eq!(world.code_of(&reversal(12, 8)), Some(AlreadyReversed));
}
