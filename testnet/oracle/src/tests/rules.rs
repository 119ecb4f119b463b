//! Each rejection of each command, in the order of docs/LEDGER.md, and what comes to nothing.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, SetLimits, SetStatus},
    command::Command,
    day::{BusinessDate, CloseDay},
    hold::{Capture, ExpireHold, Hold, HoldStatus, Void},
    id::{AccountId, CommandId, KeyId},
    key::RevokeKey,
    limits::AMOUNT_MAX,
    outcome::{
        Outcome,
        Rejection::{self, *},
    },
    refund::Refund,
    reversal::Reversal,
    transfer::TransferKind::{self, CashOut, Grant, Payment, TopUp, Transfer},
};

use super::world::*;
use crate::{
    in_order::{FirstAnswer, judge_in_order},
    model::Moment,
};

/// What comes before, the command, and its rejection.
type Row = (Vec<Command>, Command, Option<Rejection>);

/// The rejections that docs/LEDGER.md names for a command, in its order.
fn documented(command: &str) -> Vec<Rejection> {
    let row = include_str!("../../../../docs/LEDGER.md")
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {command} | `")))
        .expect("the command has its row");
    let names = row.trim_end_matches("` |").split("` `");
    names.map(|name| Rejection::from_name(name).unwrap()).collect()
}

/// Each row has its answer, every other answer is found to be wrong, and the rows cover exactly
/// the documented rejections.
fn check(command_name: &str, rows: &[Row]) {
    let mut seen = Vec::new();
    for (before, command, expected) in rows {
        let mut model = begun();
        for command in before {
            commit(&mut model, NEXT, command);
        }
        let decision = model.clone().apply(NEXT, command).unwrap();
        assert_eq!(decision.outcome.rejection, *expected, "{command_name}: {command:?}");
        let codes = Rejection::ALL.iter().copied().map(Some).chain([None]);
        for rejection in codes {
            let outcome = Outcome { rejection, ..decision.outcome };
            let (command, Moment { position, time, .. }) = (command.clone(), NEXT);
            let answer = FirstAnswer { command, position, time, outcome };
            let judged = judge_in_order(&mut model.clone(), &[answer], FirstAnswer::clone);
            assert_eq!(judged.is_ok(), rejection == *expected, "{command_name}: {rejection:?}");
        }
        seen.extend(*expected);
    }
    assert!(seen.is_sorted(), "{command_name}: the rows follow the codes");
    seen.dedup();
    assert_eq!(seen, documented(command_name), "{command_name}: each code has its row");
    assert!(rows.iter().any(|(_, _, expected)| expected.is_none()), "{command_name}");
}

/// A row without anything before it.
fn row(command: Command, expected: impl Into<Option<Rejection>>) -> Row {
    (Vec::new(), command, expected.into())
}

/// An id whose time is the tolerance and a millisecond ahead, and one that is just too old.
fn odd_ids() -> [CommandId; 2] {
    let future = CommandId::from_parts(NOW_MS + TOLERANCE_MS + 1, 50);
    [future, CommandId::from_parts(NOW_MS - HORIZON_MS - 1, 51)]
}

/// The three rows that every command with an id begins with: a known id, and two of a wrong age.
fn id_rows(with_id: impl Fn(CommandId) -> Command) -> Vec<Row> {
    let [future, expired] = odd_ids();
    vec![
        row(with_id(id(3)), IdReused),
        row(with_id(future), IdInFuture),
        row(with_id(expired), IdExpired),
    ]
}

#[test]
fn transfers() {
    let nobody = (NOBODY, AccountId::new(98));
    let of = |kind: TransferKind, parties, amount| transfer(100, kind, parties, amount);
    let mut rows = id_rows(|id| transfer_of("KRW", id, Transfer, (RICH, POOR), 0));
    rows.extend([
        row(of(Transfer, (NOBODY, NOBODY), 0), AmountInvalid),
        row(of(Transfer, (RICH, POOR), AMOUNT_MAX + 1), AmountInvalid),
        row(of(Transfer, (NOBODY, NOBODY), 1), SameAccount),
        row(of(Transfer, nobody, 1), AccountNotFound),
        row(of(Payment, (RICH, NOBODY), 1), AccountNotFound),
        row(of(Payment, (SHOP, CLOSED), 1), KindNotAllowed),
        row(of(TransferKind::Refund, (SHOP, RICH), 1), KindNotAllowed),
        row(of(Transfer, (RICH, SHOP), 1), KindNotAllowed),
        row(of(TransferKind::Fee, (BANK, FEE), 1), KindNotAllowed),
        row(of(Transfer, (RICH, POINT_WALLET), 1), AssetMismatch),
        row(transfer_of("POINT", id(100), Payment, (CLOSED, SHOP), 1), AssetMismatch),
        row(of(Transfer, (FROZEN, CLOSED), 1), AccountClosed),
        row(of(Payment, (FROZEN, SHOP), 1), AccountFrozen),
        row(of(Payment, (TIGHT, SHOP), 51), PerTransferLimitExceeded),
        row(of(CashOut, (TIGHT, BANK), 41), DailyLimitExceeded),
        row(of(Transfer, (POOR, RICH), 1), InsufficientFunds),
        (vec![hold(90, RICH, SHOP, 99_999)], pay(100, RICH, SHOP, 2), Some(InsufficientFunds)),
        row(of(TopUp, (BANK, POOR), 2_000_001), MaxBalanceExceeded),
        row(of(Payment, (RICH, SMALL_SHOP), 11), MaxBalanceExceeded),
        row(of(Payment, (RICH, FULL_SHOP), 1), Overflow),
        row(of(TopUp, (FLOOR_BANK, POOR), 1), Overflow),
        row(of(Transfer, (RICH, FROZEN), 1), None),
        row(of(TransferKind::Fee, (RICH, FEE), 1), None),
        row(transfer_of("POINT", id(100), Grant, (ISSUER, POINT_WALLET), 1), None),
        row(of(Payment, (TIGHT, SHOP), 40), None),
    ]);
    check("transfer", &rows);
}

#[test]
fn holds() {
    let with_id = |id| match hold(0, RICH, SHOP, 0) {
        Command::Hold(hold) => Command::Hold(Hold { id, ..hold }),
        other => unreachable!("{other:?}"),
    };
    let mut rows = id_rows(with_id);
    rows.extend([
        row(hold(100, NOBODY, NOBODY, 0), AmountInvalid),
        row(hold(100, NOBODY, NOBODY, 1), SameAccount),
        row(hold(100, RICH, NOBODY, 1), AccountNotFound),
        row(hold(100, SHOP, CLOSED, 1), KindNotAllowed),
        row(hold(100, POINT_WALLET, CLOSED_SHOP, 1), AssetMismatch),
        row(hold(100, FROZEN, CLOSED_SHOP, 1), AccountClosed),
        row(hold(100, FROZEN, SHOP, 1), AccountFrozen),
        row(hold(100, TIGHT, SHOP, 51), PerTransferLimitExceeded),
        (vec![hold(90, TIGHT, SHOP, 40)], hold(100, TIGHT, SHOP, 1), Some(DailyLimitExceeded)),
        row(hold(100, POOR, SHOP, 1), InsufficientFunds),
        row(hold(100, RICH, FULL_SHOP, 1), None),
    ]);
    check("hold", &rows);
}

#[test]
fn captures() {
    let with_id = |id| match capture(0, 8, None) {
        Command::Capture(one) => Command::Capture(Capture { id, ..one }),
        other => unreachable!("{other:?}"),
    };
    let held = |shop| vec![hold(90, RICH, shop, 100)];
    let voided = vec![hold(90, RICH, SHOP, 100), void(91, 90)];
    let closed = [voided.clone(), vec![set_limits(92, RICH, Limits::default())]].concat();
    let small = vec![hold(90, RICH, SMALL_SHOP, 11)];
    let gone = vec![
        hold(90, RICH, SMALL_SHOP, 10),
        void(91, 90),
        set_status(92, SMALL_SHOP, AccountStatus::Closed),
    ];
    let mut rows = id_rows(with_id);
    rows.extend([
        row(capture(100, 77, Some(0)), AmountInvalid),
        row(capture(100, 77, None), HoldNotFound),
        (gone, capture(100, 90, None), Some(AccountClosed)),
        row(capture(100, 8, Some(101)), AccountFrozen),
        (closed, capture(100, 90, Some(101)), Some(HoldNotOpen)),
        (held(SHOP), capture(100, 90, Some(101)), Some(CaptureExceedsHold)),
        (small.clone(), capture(100, 90, None), Some(MaxBalanceExceeded)),
        (held(FULL_SHOP), capture(100, 90, None), Some(Overflow)),
        (small, capture(100, 90, Some(10)), None),
        (held(SHOP), capture(100, 90, None), None),
    ]);
    check("capture", &rows);
}

#[test]
fn voids() {
    let first = id(8);
    let with_id = |id| Command::Void(Void { id, hold: first });
    let mut rows = id_rows(with_id);
    let voided = vec![void(90, 8)];
    rows.extend([
        row(void(100, 77), HoldNotFound),
        (voided, void(100, 8), Some(HoldNotOpen)),
        row(void(100, 8), None),
    ]);
    check("void", &rows);
}

#[test]
fn refunds() {
    let with_id = |id| match refund(0, 6, None) {
        Command::Refund(one) => Command::Refund(Refund { id, ..one }),
        other => unreachable!("{other:?}"),
    };
    let paid = |shop| vec![pay(90, RICH, shop, 10)];
    let closed_shop = vec![
        pay(90, RICH, SMALL_SHOP, 10),
        transfer(91, CashOut, (SMALL_SHOP, BANK), 10),
        set_status(92, SMALL_SHOP, AccountStatus::Closed),
    ];
    let frozen = vec![pay(90, RICH, SHOP, 10), set_status(91, SHOP, AccountStatus::Frozen)];
    let spent = vec![pay(90, RICH, SMALL_SHOP, 10), transfer(91, CashOut, (SMALL_SHOP, BANK), 1)];
    let limited = vec![pay(90, RICH, SHOP, 10), set_limits(91, RICH, limits(Some(1), None, None))];
    let other_bank = AccountId::new(30);
    let full = vec![
        set_limits(88, RICH, limits(Some(AMOUNT_MAX), None, None)),
        pay(90, RICH, SHOP, 10),
        open(other_bank, AccountKind::Bank),
        transfer(91, TopUp, (other_bank, RICH), AMOUNT_MAX - RICH_HAS.unsigned_abs() + 10),
        set_limits(92, RICH, clear_max()),
    ];
    let all_back = [paid(SHOP), vec![refund(91, 90, Some(4)), refund(92, 90, None)]].concat();
    let mut rows = id_rows(with_id);
    rows.extend([
        row(refund(100, 77, Some(0)), AmountInvalid),
        row(refund(100, 77, None), PaymentNotFound),
        row(refund(100, 3, None), PaymentNotFound),
        (closed_shop, refund(100, 90, Some(11)), Some(AccountClosed)),
        (frozen, refund(100, 90, Some(11)), Some(AccountFrozen)),
        (paid(SHOP), refund(100, 90, Some(11)), Some(RefundExceedsPayment)),
        (all_back, refund(100, 90, None), Some(RefundExceedsPayment)),
        (spent, refund(100, 90, None), Some(InsufficientFunds)),
        (limited, refund(100, 90, None), Some(MaxBalanceExceeded)),
        (full, refund(100, 90, None), Some(Overflow)),
        row(refund(100, 7, None), None),
        (paid(SHOP), refund(100, 90, Some(10)), None),
    ]);
    check("refund", &rows);
}

fn clear_max() -> Limits {
    let max_balance = LimitChange::Clear;
    Limits { max_balance, ..Limits::default() }
}

#[test]
fn reversals() {
    let with_id = |id| match reverse(0, 3) {
        Command::Reversal(one) => Command::Reversal(Reversal { id, ..one }),
        other => unreachable!("{other:?}"),
    };
    let emptied = |number, wallet, to| transfer(number, Transfer, (wallet, to), 10);
    let closed = vec![
        top_up(90, POOR, 10),
        emptied(91, POOR, RICH),
        set_status(92, POOR, AccountStatus::Closed),
    ];
    let twice = vec![top_up(90, POOR, 10), reverse(91, 90)];
    let spent = vec![top_up(90, POOR, 10), emptied(91, POOR, RICH)];
    let cash_out = vec![
        transfer(90, CashOut, (RICH, BANK), 10),
        set_limits(91, RICH, limits(Some(1), None, None)),
    ];
    let other_bank = AccountId::new(30);
    let full_bank = vec![
        open(other_bank, AccountKind::Bank),
        transfer(90, TopUp, (other_bank, POOR), 10),
        transfer(91, CashOut, (FULL_SHOP, other_bank), AMOUNT_MAX),
        transfer(92, CashOut, (RICH, other_bank), 5),
    ];
    let fee = vec![transfer(90, TransferKind::Fee, (RICH, FEE), 10)];
    let grant = vec![transfer_of("POINT", id(90), Grant, (ISSUER, POINT_WALLET), 1)];
    let mut rows = id_rows(with_id);
    rows.extend([
        row(reverse(100, 77), TransferNotFound),
        row(reverse(100, 6), ReversalNotAllowed),
        (closed, reverse(100, 90), Some(AccountClosed)),
        row(reverse(100, 4), AccountFrozen),
        (twice, reverse(100, 90), Some(AlreadyReversed)),
        (spent, reverse(100, 90), Some(InsufficientFunds)),
        (cash_out, reverse(100, 90), Some(MaxBalanceExceeded)),
        (full_bank, reverse(100, 90), Some(Overflow)),
        row(reverse(100, 3), None),
        (fee, reverse(100, 90), None),
        (grant, reverse(100, 90), None),
    ]);
    check("reversal", &rows);
}

#[test]
fn openings_statuses_and_limits() {
    let new = AccountId::new(40);
    let too_much = limits(Some(AMOUNT_MAX + 1), None, None);
    check(
        "open account",
        &[
            row(open_with(RICH, AccountKind::Wallet, "EUR", too_much), AmountInvalid),
            row(open_with(RICH, AccountKind::Wallet, "EUR", Limits::default()), AccountExists),
            row(open_with(new, AccountKind::Wallet, "EUR", Limits::default()), AssetMismatch),
            row(open(new, AccountKind::Wallet), None),
        ],
    );

    use AccountStatus::{Closed, Frozen, Open};
    let with_id = |id| {
        let change = SetStatus { id, account: NOBODY, status: Open };
        Command::SetStatus(change)
    };
    let mut rows = id_rows(with_id);
    let incoming = vec![hold(90, RICH, SMALL_SHOP, 1)];
    let held = vec![top_up(90, POOR, 5), hold(91, POOR, SHOP, 5)];
    rows.extend([
        row(set_status(100, NOBODY, Open), AccountNotFound),
        row(set_status(100, CLOSED, Closed), AccountClosed),
        row(set_status(100, RICH, Closed), AccountNotEmpty),
        (incoming, set_status(100, SMALL_SHOP, Closed), Some(AccountNotEmpty)),
        (held, set_status(100, POOR, Closed), Some(AccountNotEmpty)),
        row(set_status(100, RICH, Frozen), None),
        row(set_status(100, POOR, Closed), None),
    ]);
    check("status", &rows);

    let with_id = |id| {
        let change = SetLimits { id, account: NOBODY, limits: too_much };
        Command::SetLimits(change)
    };
    let mut rows = id_rows(with_id);
    rows.extend([
        row(set_limits(100, NOBODY, too_much), AmountInvalid),
        row(set_limits(100, NOBODY, Limits::default()), AccountNotFound),
        row(set_limits(100, CLOSED, Limits::default()), AccountClosed),
        row(set_limits(100, RICH, limits(Some(0), Some(0), Some(AMOUNT_MAX))), None),
    ]);
    check("limits", &rows);
}

#[test]
fn the_bounds_of_an_ids_age_are_fresh() {
    for (made, time, expected) in [
        (NOW_MS + TOLERANCE_MS, NOW, None),
        (NOW_MS + TOLERANCE_MS + 1, NOW + 999, Some(IdInFuture)),
        (NOW_MS + TOLERANCE_MS + 1, NOW + 1_000, None),
        (NOW_MS - HORIZON_MS, NOW, None),
        (NOW_MS - HORIZON_MS, NOW + 1, Some(IdExpired)),
    ] {
        let id = CommandId::from_parts(made, 1);
        let command = transfer_of("KRW", id, TopUp, (BANK, RICH), 1);
        let decision = begun().apply(Moment { time, ..NEXT }, &command).unwrap();
        assert_eq!(decision.outcome.rejection, expected, "{made} at {time}");
    }
}

#[test]
fn a_known_id_gets_its_first_answer_whatever_happened_since() {
    let mut model = begun();
    let command = pay(100, RICH, SHOP, 60_000);
    let first = commit(&mut model, NEXT, &command);
    let rejected = pay(101, RICH, SHOP, 60_000);
    let refused = model.apply(NEXT, &rejected).unwrap();
    assert_eq!(refused.outcome.rejection, Some(InsufficientFunds));
    commit(&mut model, NEXT, &top_up(102, RICH, 60_000));
    let later = Moment { position: 2_000, index: 7, time: NOW + 2 * HORIZON_MS * 1_000 };
    for (command, outcome) in [(command, first.outcome), (rejected, refused.outcome)] {
        let again = model.apply(later, &command).unwrap();
        assert_eq!((again.outcome, again.first), (outcome, Some(NEXT.position)));
    }
    let opening = model.apply(later, &open(RICH, AccountKind::Wallet)).unwrap();
    assert_eq!((opening.outcome.rejection, opening.first), (None, Some(3)));
    let genesis_again = model.apply(later, &genesis()).unwrap();
    assert_eq!((genesis_again.outcome.rejection, genesis_again.first), (None, Some(0)));
}

#[test]
fn a_hold_ends_once_and_its_time_ends_it() {
    let due = NOW + HOLD_MS * 1_000;
    let at = |time| Moment { time, ..NEXT };
    let expire = Command::ExpireHold(ExpireHold { hold: id(90) });
    let mut model = begun();
    commit(&mut model, NEXT, &hold(90, RICH, SHOP, 100));
    assert_eq!(model.find_account(RICH).unwrap().1.held, 100);
    assert_eq!(model.overdue_hold(due), None);
    let too_early = model.apply(at(due - 1), &expire).unwrap();
    assert_eq!(too_early.outcome.index, Outcome::NO_INDEX);
    // Its time is up, whether or not it's released.
    for command in [capture(91, 90, None), void(92, 90)] {
        let late = model.apply(at(due), &command).unwrap();
        assert_eq!(late.outcome.rejection, Some(HoldNotOpen));
    }
    assert_eq!(model.overdue_hold(due + 1), Some(id(8)), "the frozen wallet's, of the same time");
    let released = commit(&mut model, at(due), &expire);
    assert_eq!((released.outcome.index, released.outcome.amount), (0, 100));
    assert_eq!(model.find_hold(id(90)).unwrap().status, HoldStatus::Expired);
    assert_eq!(model.find_account(RICH).unwrap().1.held, 0);
    let again = model.apply(at(due), &expire).unwrap();
    assert_eq!(again.outcome.index, Outcome::NO_INDEX);
    assert_eq!(model.counts().expired, 1);
}

#[test]
fn a_day_ends_once_and_its_debits_with_it() {
    let mut model = begun();
    let (first, next) = (BusinessDate::FIRST, BusinessDate::FIRST.next());
    let close = |closed, next| Command::CloseDay(CloseDay { closed, next });
    for wrong in [close(next, next.next()), close(first, first)] {
        let answered = model.apply(NEXT, &wrong).unwrap();
        assert_eq!(answered.outcome.rejection, Some(DayNotOpen), "{wrong:?}");
    }
    assert_eq!(model.find_account(TIGHT).unwrap().1.debited_today, 20);
    commit(&mut model, NEXT, &close(first, next));
    assert_eq!(model.date(), Some(next));
    assert_eq!(model.find_account(TIGHT).unwrap().1.debited_today, 0);
    let twice = model.apply(NEXT, &close(first, next)).unwrap();
    assert_eq!(twice.outcome.rejection, Some(DayNotOpen));
    commit(&mut model, NEXT, &pay(100, TIGHT, SHOP, 50));
}

#[test]
fn there_is_no_rule_for_keys_or_before_genesis() {
    let revoke = Command::RevokeKey(RevokeKey { key: KeyId(2) });
    assert!(begun().apply(NEXT, &revoke).is_err());
    let mut empty = crate::model::Model::default();
    assert!(empty.apply(NEXT, &open(RICH, AccountKind::Wallet)).is_err());
}
