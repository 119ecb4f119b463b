//! Refunds: only of payments, in parts, never more than the payment, and each rule has its code.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::{AccountStatus::*, LimitChange},
    amount::Amount,
    command::Command,
    limits::AMOUNT_MAX,
    outcome::Rejection::{self, *},
    transfer::TransferKind::*,
};
use proptest::prelude::*;

use super::precedence::documented;
use crate::tests::support::{shop::*, world::*};

/// Commands after the payment, the command to be judged, and its answer.
type Row = (Vec<Command>, Command, Rejection);

/// One row per rejection, in the order of precedence; each breaks later rules as well if possible.
fn rows() -> Vec<Row> {
    let cashed_out = || moves(20, CashOut, (MERCHANT, BANK), 100);
    let frozen = || becomes(21, MERCHANT, Frozen);
    let wallet_is_full = || may_hold(22, WALLET, LimitChange::Set(Amount(0)));
    let refund_of = |id| {
        Command::Refund(evenkeel_wire::refund::Refund {
            id,
            payment: id,
            amount: Some(Amount(0)),
            memo: evenkeel_wire::transfer::Text::default(),
        })
    };
    let early = i64::try_from(TOLERANCE_MS).unwrap() + 1;
    let late = -i64::try_from(HORIZON_MS).unwrap() - 1;
    vec![
        (vec![], refund(TOP_UP, PAYMENT, 0), IdReused),
        (vec![], refund_of(id(early, 9)), IdInFuture),
        (vec![], refund_of(id(late, 9)), IdExpired),
        (vec![], refund(9, 99, 0), AmountInvalid),
        (vec![], refund(9, PAYMENT, AMOUNT_MAX + 1), AmountInvalid),
        (vec![], refund(9, 99, 5), PaymentNotFound),
        (vec![], refund(9, TOP_UP, 5), PaymentNotFound),
        (vec![refund(8, PAYMENT, 5)], refund(9, 8, 5), PaymentNotFound),
        (vec![hold(8, 5)], refund(9, 8, 5), PaymentNotFound),
        (vec![hold(7, 5), void(8, 7)], refund(9, 8, 5), PaymentNotFound),
        (vec![cashed_out(), becomes(8, MERCHANT, Closed)], refund(9, PAYMENT, 101), AccountClosed),
        (
            vec![moves(8, CashOut, (WALLET, BANK), 900), becomes(7, WALLET, Closed), frozen()],
            refund(9, PAYMENT, 101),
            AccountClosed,
        ),
        (vec![cashed_out(), frozen()], refund(9, PAYMENT, 101), AccountFrozen),
        (vec![cashed_out(), wallet_is_full()], refund(9, PAYMENT, 101), RefundExceedsPayment),
        (vec![refund(8, PAYMENT, 60)], refund(9, PAYMENT, 41), RefundExceedsPayment),
        (vec![refund(8, PAYMENT, 100)], refund(9, PAYMENT, None), RefundExceedsPayment),
        (vec![cashed_out(), wallet_is_full()], refund(9, PAYMENT, 1), InsufficientFunds),
        (vec![wallet_is_full()], refund(9, PAYMENT, 1), MaxBalanceExceeded),
        (
            vec![
                may_hold(8, WALLET, LimitChange::Clear),
                moves(7, TopUp, (BANK, WALLET), AMOUNT_MAX - 1_000),
                moves(6, Grant, (ISSUER, WALLET), 100),
            ],
            refund(9, PAYMENT, 100),
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
        let posted = (world.posted(WALLET), world.posted(MERCHANT));
        let refunded = world.ledger.refunded_total(id(0, PAYMENT));
        assert_eq!(world.code_of(&command), Some(rejection), "row {number}");
        assert_eq!((world.posted(WALLET), world.posted(MERCHANT)), posted, "row {number}");
        assert_eq!(world.ledger.refunded_total(id(0, PAYMENT)), refunded, "row {number}");
        seen.push(rejection);
    }
    assert!(seen.is_sorted(), "in the order of precedence");
    seen.dedup();
    assert_eq!(seen, documented("refund"), "each code has its row");
}

#[test]
fn a_payment_is_refunded_in_parts_until_nothing_is_left() {
    let mut world = shop();
    for (number, amount, moved, left) in
        [(10, Some(30), 30, 70), (11, Some(30), 30, 40), (12, None, 40, 0)]
    {
        assert_eq!(world.commit(&refund(number, PAYMENT, amount)), moved);
        assert_eq!(world.ledger.refunded_total(id(0, PAYMENT)), 100 - left);
        assert_eq!(world.posted(MERCHANT), i64::try_from(left).unwrap());
        assert_eq!(world.posted(WALLET), 1_000 - i64::try_from(left).unwrap());
    }
    assert_eq!(world.code_of(&refund(13, PAYMENT, 1)), Some(RefundExceedsPayment));
    let again = world.one(T0, &refund(12, PAYMENT, None));
    assert!(again.first.is_some(), "a replay");
    assert_eq!((again.outcome.rejection, again.outcome.amount), (None, 40));
    assert_eq!(again.outcome.debit_after, 0);
    assert_eq!(again.outcome.credit_after, 1_000);
}

#[test]
fn the_captured_amount_is_refunded_and_not_the_held_one() {
    let mut world = shop();
    world.commit(&hold(10, 50));
    world.commit(&capture(11, 10, 20));
    assert_eq!(world.code_of(&refund(12, 11, 21)), Some(RefundExceedsPayment));
    assert_eq!(world.commit(&refund(13, 11, None)), 20);
    assert_eq!((world.posted(WALLET), world.posted(MERCHANT)), (900, 100));
}

#[test]
fn one_of_two_concurrent_refunds_wins() {
    for amounts in [[Some(60), Some(60)], [None, None], [Some(100), None], [Some(1), None]] {
        let mut world = shop();
        let both = [refund(10, PAYMENT, amounts[0]), refund(11, PAYMENT, amounts[1])];
        let answers = world.entry(T0, &both);
        let won = |at: usize| code(&answers[at]).is_none();
        assert!(won(0));
        // Only the last pair leaves enough for the second.
        assert_eq!(won(1), amounts[0] == Some(1), "{amounts:?}");
        assert!(world.ledger.refunded_total(id(0, PAYMENT)) <= 100);
        assert_eq!(world.posted(WALLET) + world.posted(MERCHANT), 1_000);
    }
}

#[test]
fn a_frozen_wallet_gets_refunds() {
    let mut world = shop();
    world.commit(&becomes(8, WALLET, Frozen));
    world.commit(&refund(9, PAYMENT, 100));
    assert_eq!(world.posted(WALLET), 1_000);
}

#[test]
fn limits_of_debits_do_not_apply_to_refunds() {
    let mut world = shop();
    let limits = evenkeel_wire::account::Limits {
        per_transfer: LimitChange::Set(Amount(0)),
        daily_debit: LimitChange::Set(Amount(0)),
        ..Default::default()
    };
    let change = evenkeel_wire::account::SetLimits { id: id(0, 8), account: MERCHANT, limits };
    world.commit(&Command::SetLimits(change));
    world.commit(&refund(9, PAYMENT, 100));
    assert_eq!(world.ledger.account(MERCHANT).unwrap().debited_today, 0);
    assert_eq!(
        world.ledger.account(WALLET).unwrap().debited_today,
        100,
        "the payment still counts"
    );
}

#[test]
fn a_failed_group_undoes_its_refunds() {
    let mut world = shop();
    world.commit(&hold(20, 50));
    world.commit(&refund(10, PAYMENT, 10));
    let before = world.ledger.digest();
    let refunded = [
        refund(11, PAYMENT, 60),
        reversal(12, TOP_UP),
        capture(13, 20, 7),
        refund(14, 13, 7),
        refund(15, PAYMENT, 60),
    ];
    // The reversal fails on the funds of the wallet; without it, the last refund exceeds the
    // payment.
    let codes = world.atomic(&refunded);
    let failed = Some(BatchFailed);
    assert_eq!(codes, [failed, Some(InsufficientFunds), failed, failed, failed]);
    let after_one = world.ledger.digest();
    let without: Vec<_> = refunded.iter().enumerate().filter(|(at, _)| *at != 1).collect();
    let without: Vec<_> = without.into_iter().map(|(_, command)| command.clone()).collect();
    let codes = world.atomic(&without);
    assert_eq!(codes, [failed, failed, failed, Some(RefundExceedsPayment)]);
    assert_ne!(before, after_one, "the position advanced");
    assert_eq!(world.ledger.refunded_total(id(0, PAYMENT)), 10);
    assert_eq!(world.ledger.refunded_total(id(0, 13)), 0);
    let committed = world.atomic(&without[..3]);
    assert_eq!(committed, [None; 3]);
    assert_eq!(world.ledger.refunded_total(id(0, PAYMENT)), 70);
    assert_eq!(world.ledger.refunded_total(id(0, 13)), 7);
}

#[test]
fn a_payment_that_cannot_be_read_is_a_fault() {
    let mut world = shop();
    world.seal();
    world.journal.broken = true;
    let fault = world.try_body(T0, body(&[refund(9, PAYMENT, 5)])).unwrap_err();
    assert_eq!(fault.to_string(), "the disk failed");
    assert!(world.ledger.fault().is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Refund { id: u128, payment: u128, amount: Option<u64> },
    Seal,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = proptest::option::weighted(0.8, 0..60_u64);
    let step = prop_oneof![
        8 => (100..140_u128, PAYMENT..PAYMENT + 4, amount)
            .prop_map(|(id, payment, amount)| Step::Refund { id, payment, amount }),
        1 => Just(Step::Seal),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Refunds never exceed their payment, with payments and first answers in memory or in the
    /// journal; a node that forgot all ids decides like one that didn't.
    #[test]
    fn refunds_never_exceed_their_payment(steps in steps()) {
        let (mut remembering, mut forgetting) = (shop(), shop());
        for number in 1..3 {
            let pay = moves(PAYMENT + number, Payment, (WALLET, MERCHANT), 50);
            for world in [&mut remembering, &mut forgetting] {
                world.commit(&pay);
            }
        }
        let mut firsts: BTreeMap<u128, (Command, Option<Rejection>, u64)> = BTreeMap::new();
        let mut left = BTreeMap::from([(PAYMENT, 100), (PAYMENT + 1, 50), (PAYMENT + 2, 50)]);
        for step in steps {
            let Step::Refund { id, payment, amount } = step else {
                forgetting.seal();
                continue;
            };
            let command = refund(id, payment, amount);
            let answer = remembering.one(T0, &command);
            prop_assert_eq!(answer, forgetting.one(T0, &command));
            prop_assert_eq!(remembering.ledger.digest(), forgetting.ledger.digest());
            let found = (answer.outcome.rejection, answer.outcome.amount);
            if let Some((first, rejection, moved)) = firsts.get(&id) {
                let same = *first == command;
                let expected = if same { (*rejection, *moved) } else { (Some(IdReused), 0) };
                prop_assert_eq!(found, expected);
                continue;
            }
            let expected = match (amount, left.get_mut(&payment)) {
                (Some(0), _) => (Some(AmountInvalid), 0),
                (_, None) => (Some(PaymentNotFound), 0),
                (amount, Some(left)) => {
                    let amount = amount.unwrap_or(*left);
                    if amount == 0 || amount > *left {
                        (Some(RefundExceedsPayment), 0)
                    } else {
                        *left -= amount;
                        (None, amount)
                    }
                }
            };
            prop_assert_eq!(found, expected);
            firsts.insert(id, (command, found.0, found.1));
        }
        let left: u64 = left.values().sum();
        prop_assert_eq!(remembering.posted(MERCHANT), i64::try_from(left).unwrap());
    }
}
