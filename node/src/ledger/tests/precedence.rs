//! Where several rules are broken, the lowest is the answer.

use evenkeel_wire::{
    account::AccountKind,
    command::Command,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::Rejection,
    transfer::TransferKind::{self, CashOut, Payment, Refund, Reversal, TopUp, Transfer},
};

use super::world::*;

const BANK: AccountId = account(1);
const FLOOR_BANK: AccountId = account(2);
const WALLET: AccountId = account(3);
const OTHER_WALLET: AccountId = account(4);
const FULL_WALLET: AccountId = account(5);
const FULL_MERCHANT: AccountId = account(6);
const POINT_WALLET: AccountId = account(7);
const UNKNOWN: AccountId = account(99);
const ALSO_UNKNOWN: AccountId = account(98);

/// When the table is judged: the ids of the world's making are older than the horizon by then.
const NOW: u64 = T0 + 2 * HORIZON_MS * 1_000;

fn used() -> CommandId {
    id(0, 1)
}

fn world() -> World {
    let mut world = World::founded();
    for bank in [BANK, FLOOR_BANK] {
        world.open(bank, AccountKind::Bank, "KRW");
    }
    for wallet in [WALLET, OTHER_WALLET, FULL_WALLET] {
        world.open(wallet, AccountKind::Wallet, "KRW");
    }
    world.open(FULL_MERCHANT, AccountKind::Merchant, "KRW");
    world.open(POINT_WALLET, AccountKind::Wallet, "POINT");
    for (number, kind, parties, amount) in [
        (1, TopUp, (BANK, FULL_WALLET), AMOUNT_MAX),
        (2, Payment, (FULL_WALLET, FULL_MERCHANT), AMOUNT_MAX),
        (3, TopUp, (FLOOR_BANK, FULL_WALLET), AMOUNT_MAX),
        (4, CashOut, (FULL_MERCHANT, BANK), AMOUNT_MAX),
        (5, TopUp, (BANK, WALLET), 100),
        (6, TopUp, (BANK, OTHER_WALLET), AMOUNT_MAX - 100),
        (7, Payment, (OTHER_WALLET, FULL_MERCHANT), AMOUNT_MAX - 100),
    ] {
        let answer = world.one(T0, &transfer(id(0, number), kind, parties, amount, "KRW"));
        assert_eq!(code(&answer), None, "{number}");
    }
    world
}

/// id, kind, (debit, credit), amount, asset, expected.
type Case = (CommandId, TransferKind, (AccountId, AccountId), u64, &'static str, Option<Rejection>);

#[test]
fn the_first_rule_that_is_broken_is_the_answer() {
    use Rejection::*;
    let after = i64::try_from((NOW - T0) / 1_000).unwrap();
    let fresh = |number| id(after, number);
    let future = id(after + i64::try_from(TOLERANCE_MS).unwrap() + 1, 1);
    let expired = id(after - i64::try_from(HORIZON_MS).unwrap(), 1);
    let nowhere = (UNKNOWN, ALSO_UNKNOWN);
    let cases: &[Case] = &[
        (used(), Refund, (UNKNOWN, UNKNOWN), 0, "EUR", Some(IdReused)),
        (future, Refund, (UNKNOWN, UNKNOWN), 0, "EUR", Some(IdInFuture)),
        (expired, Refund, (UNKNOWN, UNKNOWN), 0, "EUR", Some(IdExpired)),
        (fresh(1), Refund, (UNKNOWN, UNKNOWN), 0, "EUR", Some(AmountInvalid)),
        (fresh(2), Refund, (UNKNOWN, UNKNOWN), AMOUNT_MAX + 1, "EUR", Some(AmountInvalid)),
        (fresh(3), Transfer, (WALLET, OTHER_WALLET), u64::MAX, "KRW", Some(AmountInvalid)),
        (fresh(4), Refund, (UNKNOWN, UNKNOWN), 1, "EUR", Some(SameAccount)),
        (fresh(5), Transfer, (WALLET, WALLET), 1, "KRW", Some(SameAccount)),
        (fresh(6), Refund, nowhere, 1, "EUR", Some(AccountNotFound)),
        (fresh(7), Refund, (WALLET, UNKNOWN), 1, "EUR", Some(AccountNotFound)),
        (fresh(8), Refund, (UNKNOWN, WALLET), 1, "EUR", Some(AccountNotFound)),
        (fresh(9), Refund, (FULL_MERCHANT, WALLET), 1, "EUR", Some(KindNotAllowed)),
        (fresh(10), Reversal, (WALLET, BANK), 1, "EUR", Some(KindNotAllowed)),
        (fresh(11), Payment, (WALLET, OTHER_WALLET), 1, "EUR", Some(KindNotAllowed)),
        (fresh(12), Transfer, (WALLET, OTHER_WALLET), 101, "EUR", Some(AssetMismatch)),
        (fresh(13), Transfer, (WALLET, POINT_WALLET), 101, "KRW", Some(AssetMismatch)),
        (fresh(14), Transfer, (POINT_WALLET, WALLET), 101, "KRW", Some(AssetMismatch)),
        (fresh(15), Transfer, (WALLET, FULL_WALLET), 101, "KRW", Some(InsufficientFunds)),
        (fresh(16), Payment, (WALLET, FULL_MERCHANT), 101, "KRW", Some(InsufficientFunds)),
        (fresh(17), TopUp, (FLOOR_BANK, FULL_WALLET), 1, "KRW", Some(MaxBalanceExceeded)),
        (fresh(18), Transfer, (WALLET, FULL_WALLET), 1, "KRW", Some(MaxBalanceExceeded)),
        (fresh(19), TopUp, (FLOOR_BANK, OTHER_WALLET), 1, "KRW", Some(Overflow)),
        (fresh(20), Payment, (FULL_WALLET, FULL_MERCHANT), 101, "KRW", Some(Overflow)),
        (fresh(21), Payment, (FULL_WALLET, FULL_MERCHANT), 100, "KRW", None),
        (fresh(22), Transfer, (WALLET, OTHER_WALLET), 100, "KRW", None),
    ];
    let mut world = world();
    let mut seen = Vec::new();
    for (number, (id, kind, parties, amount, asset, expected)) in cases.iter().enumerate() {
        let before = world.ledger.totals();
        let answer = world.one(NOW, &transfer(*id, *kind, *parties, *amount, asset));
        assert_eq!(code(&answer), *expected, "row {number}");
        if let Some(rejection) = expected {
            assert_eq!(world.ledger.totals().assets, before.assets, "row {number}");
            assert_eq!((answer.outcome.debit_after, answer.outcome.credit_after), (0, 0));
            seen.push(*rejection);
        } else {
            let after = (world.posted(parties.0), world.posted(parties.1));
            assert_eq!((answer.outcome.debit_after, answer.outcome.credit_after), after);
        }
    }
    assert!(seen.is_sorted(), "the table goes up through the codes");
    seen.dedup();
    let transfers: Vec<_> =
        Rejection::ALL.iter().filter(|code| **code != AccountExists).copied().collect();
    assert_eq!(seen, transfers, "each code has its row");
}

#[test]
fn every_commands_answer_is_the_one_of_its_own_balances() {
    let mut world = world();
    let pay = |number, amount| -> Command {
        transfer(id(0, number), Transfer, (WALLET, OTHER_WALLET), amount, "KRW")
    };
    let answers = world.entry(T0, &[pay(100, 60), pay(101, 60), pay(102, 40), pay(103, 1)]);
    let codes: Vec<_> = answers.iter().map(code).collect();
    let broke = Some(Rejection::InsufficientFunds);
    assert_eq!(codes, [None, broke, None, broke]);
    let indexes: Vec<_> = answers.iter().map(|answer| answer.outcome.index).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!((answers[2].outcome.debit_after, answers[2].outcome.credit_after), (0, 100));
}
