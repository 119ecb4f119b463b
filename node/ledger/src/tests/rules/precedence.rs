//! Where several rules are broken, the answer is the first: one row per rejection and command.

use evenkeel_wire::{
    account::{
        AccountKind,
        AccountStatus::{Closed, Frozen, Open},
        Limits,
    },
    command::Command,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
    outcome::Rejection::{self, *},
    transfer::TransferKind::{self, CashOut, Payment, Refund, Reversal, TopUp, Transfer},
};

use crate::tests::support::{commands::*, world::*};

const BANK: AccountId = account(1);
const FLOOR_BANK: AccountId = account(2);
const WALLET: AccountId = account(3);
const OTHER_WALLET: AccountId = account(4);
const FULL_WALLET: AccountId = account(5);
const FULL_MERCHANT: AccountId = account(6);
const POINT_WALLET: AccountId = account(7);
const THIRD_BANK: AccountId = account(8);
const CLOSED_WALLET: AccountId = account(9);
const CLOSED_MERCHANT: AccountId = account(10);
const FROZEN_WALLET: AccountId = account(11);
/// A wallet with 30 and limits of 50 per transfer and 60 a day; it paid 20 today.
const TIGHT_WALLET: AccountId = account(12);
/// An account with a `max_balance` of 10.
const SMALL_MERCHANT: AccountId = account(13);
const PAYER: AccountId = account(14);
const UNKNOWN: AccountId = account(99);
const ALSO_UNKNOWN: AccountId = account(98);

/// The time at which the rows are judged: earlier ids are older than the horizon by then.
const NOW: u64 = T0 + 2 * HORIZON_MS * 1_000;
const LONG_MS: u64 = 10 * HORIZON_MS;

const OPEN_HOLD: u128 = 20;
const HOLD_OF_CLOSED: u128 = 21;
const HOLD_OF_FROZEN: u128 = 22;
const VOIDED_HOLD: u128 = 23;
const DUE_HOLD: u128 = 24;
const SMALL_HOLD: u128 = 25;
const FULL_HOLD: u128 = 26;
const REJECTED_HOLD: u128 = 27;

fn used() -> CommandId {
    id(0, 1)
}

fn open_accounts(world: &mut World) {
    for bank in [BANK, FLOOR_BANK, THIRD_BANK] {
        world.open(bank, AccountKind::Bank, "KRW");
    }
    let wallets =
        [WALLET, OTHER_WALLET, FULL_WALLET, CLOSED_WALLET, FROZEN_WALLET, TIGHT_WALLET, PAYER];
    for wallet in wallets {
        world.open(wallet, AccountKind::Wallet, "KRW");
    }
    world.open(FULL_MERCHANT, AccountKind::Merchant, "KRW");
    world.open(CLOSED_MERCHANT, AccountKind::Merchant, "KRW");
    world.open(POINT_WALLET, AccountKind::Wallet, "POINT");
    let small = limits(Some(10), None, None);
    world.one(T0, &open_limited(SMALL_MERCHANT, AccountKind::Merchant, "KRW", small));
}

fn world() -> World {
    let mut world = World::bootstrapped();
    open_accounts(&mut world);
    for (number, kind, parties, amount) in [
        (1, TopUp, (BANK, FULL_WALLET), AMOUNT_MAX),
        (2, Payment, (FULL_WALLET, FULL_MERCHANT), AMOUNT_MAX),
        (3, TopUp, (FLOOR_BANK, FULL_WALLET), AMOUNT_MAX),
        (4, CashOut, (FULL_MERCHANT, BANK), AMOUNT_MAX),
        (5, TopUp, (BANK, WALLET), 100),
        (6, TopUp, (BANK, OTHER_WALLET), AMOUNT_MAX - 100),
        (7, Payment, (OTHER_WALLET, FULL_MERCHANT), AMOUNT_MAX - 100),
        (8, TopUp, (THIRD_BANK, FROZEN_WALLET), 100),
        (9, TopUp, (THIRD_BANK, TIGHT_WALLET), 50),
        (10, CashOut, (TIGHT_WALLET, THIRD_BANK), 20),
        (11, TopUp, (THIRD_BANK, PAYER), 1_000),
    ] {
        let answer = world.one(T0, &transfer(id(0, number), kind, parties, amount, "KRW"));
        assert_eq!(code(&answer), None, "{number}");
    }
    for (number, parties, amount, expires_in_ms, expected) in [
        (OPEN_HOLD, (PAYER, FULL_MERCHANT), 100, LONG_MS, None),
        (HOLD_OF_CLOSED, (FROZEN_WALLET, CLOSED_MERCHANT), 10, LONG_MS, None),
        (HOLD_OF_FROZEN, (FROZEN_WALLET, FULL_MERCHANT), 10, LONG_MS, None),
        (VOIDED_HOLD, (PAYER, FULL_MERCHANT), 10, LONG_MS, None),
        (DUE_HOLD, (PAYER, FULL_MERCHANT), 10, 2 * HORIZON_MS, None),
        (SMALL_HOLD, (PAYER, SMALL_MERCHANT), 11, LONG_MS, None),
        (FULL_HOLD, (PAYER, FULL_MERCHANT), 101, LONG_MS, None),
        (REJECTED_HOLD, (PAYER, FULL_MERCHANT), 5_000, LONG_MS, Some(InsufficientFunds)),
    ] {
        let answer = world.one(T0, &hold(id(0, number), parties, amount, expires_in_ms));
        assert_eq!(code(&answer), expected, "{number}");
    }
    for command in [
        void(id(0, 30), id(0, HOLD_OF_CLOSED)),
        void(id(0, 31), id(0, HOLD_OF_FROZEN)),
        void(id(0, 32), id(0, VOIDED_HOLD)),
        set_status(id(0, 33), CLOSED_WALLET, Closed),
        set_status(id(0, 34), CLOSED_MERCHANT, Closed),
        set_status(id(0, 35), FROZEN_WALLET, Frozen),
        set_limits(id(0, 36), TIGHT_WALLET, limits(None, Some(50), Some(60))),
    ] {
        assert_eq!(code(&world.one(T0, &command)), None, "{command:?}");
    }
    world
}

/// Ids at that time: fresh ones by number, one in the future, one expired.
struct Ids {
    after: i64,
    future: CommandId,
    expired: CommandId,
}

impl Ids {
    fn new() -> Self {
        let after = i64::try_from((NOW - T0) / 1_000).unwrap();
        Self {
            after,
            future: id(after + i64::try_from(TOLERANCE_MS).unwrap() + 1, 1),
            expired: id(after - i64::try_from(HORIZON_MS).unwrap(), 1),
        }
    }

    fn fresh(&self, number: u128) -> CommandId {
        id(self.after, number)
    }
}

/// The rejections of a command in docs/LEDGER.md, in order.
pub(crate) fn documented(command: &str) -> Vec<Rejection> {
    let row = include_str!("../../../../../docs/LEDGER.md")
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {command} | `")))
        .expect("every command has a row");
    let names = row.trim_end_matches("` |").split("` `");
    let known = |name: &str| Rejection::ALL.iter().find(|code| code.name() == name).copied();
    names.map(|name| known(name).unwrap_or_else(|| panic!("{name} is no code"))).collect()
}

/// Each row gets its answer, a rejected one changes nothing, and the rows have exactly the
/// documented codes in ascending order.
fn check(command_name: &str, rows: &[(Command, Option<Rejection>)]) {
    let mut world = world();
    let mut seen = Vec::new();
    for (number, (command, expected)) in rows.iter().enumerate() {
        let before = accounts_of(&world);
        let answer = world.one(NOW, command);
        assert_eq!(code(&answer), *expected, "row {number}: {command:?}");
        if let Some(rejection) = expected {
            assert_eq!(accounts_of(&world), before, "row {number}");
            let outcome = answer.outcome;
            assert_eq!((outcome.amount, outcome.debit_after, outcome.credit_after), (0, 0, 0));
            seen.push(*rejection);
        } else if let Command::Transfer(transfer) = command {
            let after = (world.posted(transfer.debit), world.posted(transfer.credit));
            assert_eq!((answer.outcome.debit_after, answer.outcome.credit_after), after);
            assert_eq!(answer.outcome.amount, transfer.amount.0);
        }
    }
    assert!(seen.is_sorted(), "the codes ascend");
    seen.dedup();
    assert_eq!(seen, documented(command_name), "each code has its row");
    assert!(rows.last().is_some_and(|(_, last)| last.is_none()), "the last row is committed");
}

fn accounts_of(world: &World) -> (u64, u64) {
    (world.ledger.tables.accounts.digest, world.ledger.tables.holds.digest())
}

#[test]
fn transfers() {
    let ids = Ids::new();
    let nowhere = (UNKNOWN, ALSO_UNKNOWN);
    let mut number = 0;
    let mut next = |kind: TransferKind, parties, amount, asset: &str, expected| {
        number += 1;
        (transfer(ids.fresh(number), kind, parties, amount, asset), expected)
    };
    let bad = |id| transfer(id, Refund, (UNKNOWN, UNKNOWN), 0, "EUR");
    let rows = [
        (bad(used()), Some(IdReused)),
        (bad(ids.future), Some(IdInFuture)),
        (bad(ids.expired), Some(IdExpired)),
        next(Refund, (UNKNOWN, UNKNOWN), 0, "EUR", Some(AmountInvalid)),
        next(Refund, (UNKNOWN, UNKNOWN), AMOUNT_MAX + 1, "EUR", Some(AmountInvalid)),
        next(Transfer, (WALLET, OTHER_WALLET), u64::MAX, "KRW", Some(AmountInvalid)),
        next(Refund, (UNKNOWN, UNKNOWN), 1, "EUR", Some(SameAccount)),
        next(Transfer, (CLOSED_WALLET, CLOSED_WALLET), 1, "KRW", Some(SameAccount)),
        next(Refund, nowhere, 1, "EUR", Some(AccountNotFound)),
        next(Refund, (CLOSED_WALLET, UNKNOWN), 1, "EUR", Some(AccountNotFound)),
        next(Refund, (UNKNOWN, WALLET), 1, "EUR", Some(AccountNotFound)),
        next(Refund, (FULL_MERCHANT, CLOSED_WALLET), 1, "EUR", Some(KindNotAllowed)),
        next(Reversal, (FROZEN_WALLET, BANK), 1, "EUR", Some(KindNotAllowed)),
        next(Payment, (WALLET, OTHER_WALLET), 1, "EUR", Some(KindNotAllowed)),
        next(Transfer, (WALLET, CLOSED_WALLET), 101, "EUR", Some(AssetMismatch)),
        next(Transfer, (FROZEN_WALLET, POINT_WALLET), 101, "KRW", Some(AssetMismatch)),
        next(Transfer, (POINT_WALLET, WALLET), 101, "KRW", Some(AssetMismatch)),
        next(Transfer, (FROZEN_WALLET, CLOSED_WALLET), 101, "KRW", Some(AccountClosed)),
        next(Transfer, (CLOSED_WALLET, FULL_WALLET), 101, "KRW", Some(AccountClosed)),
        next(TopUp, (FLOOR_BANK, CLOSED_WALLET), 1, "KRW", Some(AccountClosed)),
        next(Transfer, (FROZEN_WALLET, FULL_WALLET), 101, "KRW", Some(AccountFrozen)),
        next(CashOut, (FROZEN_WALLET, BANK), 1, "KRW", Some(AccountFrozen)),
        next(Transfer, (TIGHT_WALLET, FULL_WALLET), 61, "KRW", Some(PerTransferLimitExceeded)),
        next(Transfer, (TIGHT_WALLET, FULL_WALLET), 41, "KRW", Some(DailyLimitExceeded)),
        next(Transfer, (TIGHT_WALLET, FULL_WALLET), 31, "KRW", Some(InsufficientFunds)),
        next(Transfer, (WALLET, FULL_WALLET), 101, "KRW", Some(InsufficientFunds)),
        next(Payment, (PAYER, FULL_MERCHANT), 779, "KRW", Some(InsufficientFunds)),
        next(TopUp, (FLOOR_BANK, FULL_WALLET), 1, "KRW", Some(MaxBalanceExceeded)),
        next(Payment, (WALLET, SMALL_MERCHANT), 11, "KRW", Some(MaxBalanceExceeded)),
        next(TopUp, (FLOOR_BANK, OTHER_WALLET), 1, "KRW", Some(Overflow)),
        next(Payment, (FULL_WALLET, FULL_MERCHANT), 101, "KRW", Some(Overflow)),
        next(Payment, (FULL_WALLET, FULL_MERCHANT), 100, "KRW", None),
        next(TopUp, (THIRD_BANK, FROZEN_WALLET), 1, "KRW", None),
        next(Transfer, (TIGHT_WALLET, WALLET), 30, "KRW", None),
        next(Payment, (PAYER, SMALL_MERCHANT), 10, "KRW", None),
        next(Transfer, (WALLET, OTHER_WALLET), 100, "KRW", None),
    ];
    check("transfer", &rows);
}

#[test]
fn holds() {
    let ids = Ids::new();
    let mut number = 0;
    let mut next = |parties, amount, expected| {
        number += 1;
        (hold(ids.fresh(number), parties, amount, 5_000), expected)
    };
    let bad = |id| hold(id, (UNKNOWN, UNKNOWN), 0, 0);
    let in_points = match hold(ids.fresh(90), (FROZEN_WALLET, CLOSED_MERCHANT), 101, 5_000) {
        Command::Hold(hold) => evenkeel_wire::hold::Hold { asset: asset("POINT"), ..hold },
        _ => unreachable!(),
    };
    let rows = [
        (bad(used()), Some(IdReused)),
        (bad(ids.future), Some(IdInFuture)),
        (bad(ids.expired), Some(IdExpired)),
        next((UNKNOWN, UNKNOWN), 0, Some(AmountInvalid)),
        next((UNKNOWN, UNKNOWN), AMOUNT_MAX + 1, Some(AmountInvalid)),
        next((UNKNOWN, UNKNOWN), 1, Some(SameAccount)),
        next((UNKNOWN, FULL_MERCHANT), 1, Some(AccountNotFound)),
        next((CLOSED_WALLET, UNKNOWN), 1, Some(AccountNotFound)),
        next((CLOSED_WALLET, WALLET), 1, Some(KindNotAllowed)),
        next((FULL_MERCHANT, SMALL_MERCHANT), 1, Some(KindNotAllowed)),
        next((BANK, FULL_MERCHANT), 1, Some(KindNotAllowed)),
        next((FROZEN_WALLET, THIRD_BANK), 101, Some(KindNotAllowed)),
        (Command::Hold(in_points), Some(AssetMismatch)),
        next((POINT_WALLET, FULL_MERCHANT), 101, Some(AssetMismatch)),
        next((FROZEN_WALLET, CLOSED_MERCHANT), 101, Some(AccountClosed)),
        next((CLOSED_WALLET, FULL_MERCHANT), 101, Some(AccountClosed)),
        next((FROZEN_WALLET, FULL_MERCHANT), 101, Some(AccountFrozen)),
        next((TIGHT_WALLET, FULL_MERCHANT), 61, Some(PerTransferLimitExceeded)),
        next((TIGHT_WALLET, FULL_MERCHANT), 41, Some(DailyLimitExceeded)),
        next((TIGHT_WALLET, FULL_MERCHANT), 31, Some(InsufficientFunds)),
        next((PAYER, FULL_MERCHANT), 779, Some(InsufficientFunds)),
        next((TIGHT_WALLET, FULL_MERCHANT), 30, None),
        // The merchant's `max_balance` is checked at the capture.
        next((PAYER, SMALL_MERCHANT), 778, None),
    ];
    check("hold", &rows);
}

#[test]
fn captures() {
    let ids = Ids::new();
    let mut number = 0;
    let mut next = |hold: CommandId, amount, expected| {
        number += 1;
        (capture(ids.fresh(number), hold, amount), expected)
    };
    let of = |number| id(0, number);
    let rows = [
        (capture(used(), of(999), Some(0)), Some(IdReused)),
        (capture(ids.future, of(999), Some(0)), Some(IdInFuture)),
        (capture(ids.expired, of(999), Some(0)), Some(IdExpired)),
        next(of(999), Some(0), Some(AmountInvalid)),
        next(of(HOLD_OF_CLOSED), Some(AMOUNT_MAX + 1), Some(AmountInvalid)),
        next(of(999), Some(1), Some(HoldNotFound)),
        next(used(), None, Some(HoldNotFound)),
        next(of(REJECTED_HOLD), None, Some(HoldNotFound)),
        next(of(HOLD_OF_CLOSED), Some(11), Some(AccountClosed)),
        next(of(HOLD_OF_FROZEN), Some(11), Some(AccountFrozen)),
        next(of(VOIDED_HOLD), Some(11), Some(HoldNotOpen)),
        next(of(DUE_HOLD), Some(11), Some(HoldNotOpen)),
        next(of(SMALL_HOLD), Some(12), Some(CaptureExceedsHold)),
        next(of(FULL_HOLD), Some(102), Some(CaptureExceedsHold)),
        next(of(SMALL_HOLD), None, Some(MaxBalanceExceeded)),
        next(of(SMALL_HOLD), Some(11), Some(MaxBalanceExceeded)),
        next(of(FULL_HOLD), None, Some(Overflow)),
        next(of(SMALL_HOLD), Some(10), None),
        next(of(OPEN_HOLD), None, None),
    ];
    check("capture", &rows);
}

#[test]
fn voids() {
    let ids = Ids::new();
    let of = |number| id(0, number);
    let rows = [
        (void(used(), of(999)), Some(IdReused)),
        (void(ids.future, of(999)), Some(IdInFuture)),
        (void(ids.expired, of(999)), Some(IdExpired)),
        (void(ids.fresh(1), of(999)), Some(HoldNotFound)),
        (void(ids.fresh(2), used()), Some(HoldNotFound)),
        (void(ids.fresh(3), of(REJECTED_HOLD)), Some(HoldNotFound)),
        (void(ids.fresh(4), of(HOLD_OF_CLOSED)), Some(HoldNotOpen)),
        (void(ids.fresh(5), of(VOIDED_HOLD)), Some(HoldNotOpen)),
        (void(ids.fresh(6), of(DUE_HOLD)), Some(HoldNotOpen)),
        (void(ids.fresh(7), of(OPEN_HOLD)), None),
    ];
    check("void", &rows);
}

#[test]
fn changes_of_status() {
    let ids = Ids::new();
    let mut number = 0;
    let mut next = |account, status, expected| {
        number += 1;
        (set_status(ids.fresh(number), account, status), expected)
    };
    let rows = [
        (set_status(used(), UNKNOWN, Closed), Some(IdReused)),
        (set_status(ids.future, UNKNOWN, Closed), Some(IdInFuture)),
        (set_status(ids.expired, UNKNOWN, Closed), Some(IdExpired)),
        next(UNKNOWN, Closed, Some(AccountNotFound)),
        next(CLOSED_WALLET, Open, Some(AccountClosed)),
        next(CLOSED_WALLET, Frozen, Some(AccountClosed)),
        next(CLOSED_WALLET, Closed, Some(AccountClosed)),
        next(WALLET, Closed, Some(AccountNotEmpty)),
        next(FROZEN_WALLET, Closed, Some(AccountNotEmpty)),
        next(THIRD_BANK, Closed, Some(AccountNotEmpty)),
        next(SMALL_MERCHANT, Closed, Some(AccountNotEmpty)),
        next(FROZEN_WALLET, Frozen, None),
        next(WALLET, Open, None),
        next(POINT_WALLET, Frozen, None),
        next(POINT_WALLET, Closed, None),
    ];
    check("status", &rows);
}

#[test]
fn changes_of_limits() {
    let ids = Ids::new();
    let too_large = limits(None, None, Some(AMOUNT_MAX + 1));
    let rows = [
        (set_limits(used(), UNKNOWN, too_large), Some(IdReused)),
        (set_limits(ids.future, UNKNOWN, too_large), Some(IdInFuture)),
        (set_limits(ids.expired, UNKNOWN, too_large), Some(IdExpired)),
        (set_limits(ids.fresh(1), UNKNOWN, too_large), Some(AmountInvalid)),
        (
            set_limits(ids.fresh(2), CLOSED_WALLET, limits(Some(u64::MAX), None, None)),
            Some(AmountInvalid),
        ),
        (set_limits(ids.fresh(3), UNKNOWN, Limits::default()), Some(AccountNotFound)),
        (set_limits(ids.fresh(4), CLOSED_WALLET, Limits::default()), Some(AccountClosed)),
        (set_limits(ids.fresh(5), FROZEN_WALLET, limits(Some(AMOUNT_MAX), Some(0), Some(0))), None),
    ];
    check("limits", &rows);
}

#[test]
fn openings() {
    let too_large = limits(None, Some(AMOUNT_MAX + 1), None);
    let wallet = AccountKind::Wallet;
    let rows = [
        (open_limited(WALLET, wallet, "EUR", too_large), Some(AmountInvalid)),
        (open_limited(UNKNOWN, wallet, "EUR", too_large), Some(AmountInvalid)),
        (open(WALLET, wallet, "EUR", ""), Some(AccountExists)),
        (open_limited(WALLET, wallet, "KRW", limits(Some(1), None, None)), Some(AccountExists)),
        (open(UNKNOWN, wallet, "EUR", ""), Some(AssetMismatch)),
        (open_limited(UNKNOWN, wallet, "KRW", limits(Some(0), None, None)), None),
    ];
    check("open account", &rows);
}

#[test]
fn every_answer_has_the_balances_after_its_command() {
    let mut world = World::bootstrapped();
    for bank in [BANK, FLOOR_BANK] {
        world.open(bank, AccountKind::Bank, "KRW");
    }
    world.open(WALLET, AccountKind::Wallet, "KRW");
    world.open(OTHER_WALLET, AccountKind::Wallet, "KRW");
    world.one(T0, &transfer(id(0, 1), TopUp, (BANK, WALLET), 100, "KRW"));
    let pay = |number, amount| -> Command {
        transfer(id(0, number), Transfer, (WALLET, OTHER_WALLET), amount, "KRW")
    };
    let answers = world.entry(T0, &[pay(100, 60), pay(101, 60), pay(102, 40), pay(103, 1)]);
    let codes: Vec<_> = answers.iter().map(code).collect();
    let broke = Some(InsufficientFunds);
    assert_eq!(codes, [None, broke, None, broke]);
    let indexes: Vec<_> = answers.iter().map(|answer| answer.outcome.index).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!((answers[2].outcome.debit_after, answers[2].outcome.credit_after), (0, 100));
}
