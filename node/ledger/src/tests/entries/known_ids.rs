//! Exactly once: a known id of any age gets its first answer again, from memory or from an index.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    command::Command,
    id::{AccountId, CommandId},
    limits::COMMANDS_MAX,
    outcome::{Answer, Rejection},
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, TransferKind},
};

use crate::tests::support::{commands::*, world::*};

const BANK: AccountId = account(1);
const WALLET: AccountId = account(2);

fn world() -> World {
    let mut world = World::bootstrapped();
    world.open(BANK, AccountKind::Bank, "KRW");
    world.open(WALLET, AccountKind::Wallet, "KRW");
    world
}

fn top_up(id: CommandId, amount: u64) -> Command {
    transfer(id, TransferKind::TopUp, (BANK, WALLET), amount, "KRW")
}

fn cash_out(id: CommandId, amount: u64) -> Command {
    transfer(id, TransferKind::CashOut, (WALLET, BANK), amount, "KRW")
}

fn check_replay(answer: &Answer, first: &Answer, world: &World, position: u64) {
    assert_eq!(answer.outcome, first.outcome);
    let (head, _) = &world.journal.entries[usize::try_from(position).unwrap()];
    assert_eq!(answer.first, Some(head.stamp()));
}

#[test]
fn a_replay_repeats_the_first_answer_and_moves_nothing() {
    let mut world = world();
    let committed = world.one(T0, &top_up(id(0, 1), 10));
    let rejected = world.one(T0, &cash_out(id(0, 2), 11));
    assert_eq!(code(&rejected), Some(Rejection::InsufficientFunds));
    world.one(T0, &top_up(id(0, 3), 90));
    let later = T0 + 1_000_000_000_000;
    for time in [T0, later] {
        let again = world.one(time, &top_up(id(0, 1), 10));
        check_replay(&again, &committed, &world, 3);
        let again = world.one(time, &cash_out(id(0, 2), 11));
        check_replay(&again, &rejected, &world, 4);
    }
    assert_eq!(world.posted(WALLET), 100);
}

#[test]
fn other_content_under_a_known_id_is_id_reused_and_recorded_nowhere() {
    let mut world = world();
    let first = world.one(T0, &top_up(id(0, 1), 10));
    let Command::Transfer(original) = top_up(id(0, 1), 10) else { unreachable!() };
    let mut noted = original.clone();
    noted.memo = Text::new("thanks").unwrap();
    let mut referred = original;
    referred.reference = Text::new("A-1").unwrap();
    for other in [top_up(id(0, 1), 11), Command::Transfer(noted), Command::Transfer(referred)] {
        assert_eq!(code(&world.one(T0, &other)), Some(Rejection::IdReused));
        let again = world.one(T0, &top_up(id(0, 1), 10));
        check_replay(&again, &first, &world, 3);
    }
    assert_eq!(world.posted(WALLET), 10);
}

#[test]
fn ids_that_come_twice_in_an_entry_are_known_the_second_time() {
    let mut world = world();
    let answers = world.entry(
        T0,
        &[
            top_up(id(0, 1), 10),
            top_up(id(0, 1), 10),
            top_up(id(0, 1), 11),
            top_up(id(0, 2), 1),
            cash_out(id(0, 3), 100),
            cash_out(id(0, 3), 100),
        ],
    );
    assert_eq!(code(&answers[0]), None);
    check_replay(&answers[1], &answers[0], &world, 3);
    assert_eq!(code(&answers[2]), Some(Rejection::IdReused));
    assert_eq!(code(&answers[3]), None);
    assert_eq!(code(&answers[4]), Some(Rejection::InsufficientFunds));
    check_replay(&answers[5], &answers[4], &world, 3);
    let indexes: Vec<_> = answers.iter().map(|answer| answer.outcome.index).collect();
    assert_eq!(indexes, [0, 0, 1, 2, 3, 3], "replays take no index");
    assert_eq!(world.posted(WALLET), 11);
    assert_eq!(world.journal.recorded_asked, 0, "the entry itself has them");

    let decided = world.ledger.outcomes_of(3).unwrap();
    let replayed: Vec<_> = decided.iter().map(|decided| decided.replayed).collect();
    assert_eq!(replayed, [false, true, false, false, false, true]);
    let recorded: Vec<_> = decided.iter().map(|decided| decided.is_recorded()).collect();
    assert_eq!(recorded, [true, false, false, true, true, false]);
}

/// A command, and another one with the same id.
type Pair = fn(CommandId, u64) -> Command;

/// Every kind of command with an id of its own; the number varies the content.
const PAIRS: &[Pair] = &[
    |id, number| top_up(id, 10 + number),
    |id, number| hold(id, (WALLET, MERCHANT), 10 + number, 5_000),
    |id, number| capture(id, held(), Some(10 + number)),
    |id, number| void(id, if number == 0 { held() } else { self::id(0, 99) }),
    |id, number| set_status(id, MERCHANT, AccountStatus::ALL[usize::try_from(number).unwrap()]),
    |id, number| set_limits(id, WALLET, limits(None, None, Some(1_000 + number))),
    |id, number| {
        let memo = Text::new(&number.to_string()).unwrap();
        Command::Refund(Refund { id, payment: payment(), amount: None, memo })
    },
    |id, number| {
        let reason = Text::new(&number.to_string()).unwrap();
        Command::Reversal(Reversal { id, transfer: fee(), reason })
    },
];

const MERCHANT: AccountId = account(3);

fn held() -> CommandId {
    id(0, 71)
}

fn payment() -> CommandId {
    id(0, 72)
}

fn fee() -> CommandId {
    id(0, 73)
}

/// A ledger with a hold, a payment and a fee.
fn busy_world() -> World {
    let mut world = world();
    world.open(MERCHANT, AccountKind::Merchant, "KRW");
    world.open(account(4), AccountKind::Fee, "KRW");
    let parties = (WALLET, MERCHANT);
    for command in [
        top_up(id(0, 70), 1_000),
        hold(held(), parties, 20, 60_000),
        transfer(payment(), TransferKind::Payment, parties, 50, "KRW"),
        transfer(fee(), TransferKind::Fee, (WALLET, account(4)), 5, "KRW"),
    ] {
        assert_eq!(code(&world.one(T0, &command)), None, "{command:?}");
    }
    world
}

#[test]
fn every_command_replays_from_memory_and_index_and_other_content_is_rejected() {
    for (row, pair) in PAIRS.iter().enumerate() {
        for sealed in [false, true] {
            let mut world = busy_world();
            let command = pair(id(1, 1), 0);
            let first = world.one(T0, &command);
            assert_eq!(code(&first), None, "row {row}");
            let position = world.ledger.position().unwrap();
            if sealed {
                world.seal();
            }
            let digest = world.ledger.tables.accounts.digest;
            check_replay(&world.one(T0, &command), &first, &world, position);
            let other = world.one(T0, &pair(id(1, 1), 1));
            assert_eq!(code(&other), Some(Rejection::IdReused), "row {row}");
            check_replay(&world.one(T0, &command), &first, &world, position);
            assert_eq!(world.ledger.tables.accounts.digest, digest, "row {row}");
        }
    }
}

/// A rejection is replayed, even if the command would be committed by now.
#[test]
fn every_command_replays_its_rejection() {
    for (row, pair) in PAIRS.iter().enumerate() {
        for sealed in [false, true] {
            let mut world = World::bootstrapped();
            let command = pair(id(1, 1), 0);
            let first = world.one(T0, &command);
            assert!(code(&first).is_some(), "row {row}");
            if sealed {
                world.seal();
            }
            for (account, kind) in [
                (BANK, AccountKind::Bank),
                (WALLET, AccountKind::Wallet),
                (MERCHANT, AccountKind::Merchant),
            ] {
                world.open(account, kind, "KRW");
            }
            check_replay(&world.one(T0, &command), &first, &world, 1);
            assert_eq!(code(&world.one(T0, &pair(id(1, 1), 1))), Some(Rejection::IdReused));
        }
    }
}

/// Commands of all kinds share one namespace of ids.
#[test]
fn all_kinds_of_commands_share_one_namespace_of_ids() {
    for (row, one) in PAIRS.iter().enumerate() {
        for (column, other) in PAIRS.iter().enumerate().filter(|(column, _)| *column != row) {
            let mut world = busy_world();
            assert_eq!(code(&world.one(T0, &one(id(1, 1), 0))), None);
            let answer = world.one(T0, &other(id(1, 1), 0));
            assert_eq!(code(&answer), Some(Rejection::IdReused), "{row} {column}");
        }
    }
}

#[test]
fn every_command_is_fresh_within_both_bounds() {
    let horizon = i64::try_from(HORIZON_MS).unwrap();
    let tolerance = i64::try_from(TOLERANCE_MS).unwrap();
    for (row, pair) in PAIRS.iter().enumerate() {
        for (after_ms, expected) in [
            (-horizon, Some(Rejection::IdExpired)),
            (-horizon + 1, None),
            (tolerance, None),
            (tolerance + 1, Some(Rejection::IdInFuture)),
        ] {
            let answer = busy_world().one(T0, &pair(id(after_ms, 1), 0));
            assert_eq!(code(&answer), expected, "row {row}, {after_ms} ms");
        }
    }
}

#[test]
fn an_id_is_fresh_within_both_bounds() {
    let horizon = i64::try_from(HORIZON_MS).unwrap();
    let tolerance = i64::try_from(TOLERANCE_MS).unwrap();
    let expired = Some(Rejection::IdExpired);
    let future = Some(Rejection::IdInFuture);
    // The entry's time is one microsecond after the millisecond of id 0.
    for (after_ms, expected) in [
        (-horizon - 1, expired),
        (-horizon, expired),
        (-horizon + 1, None),
        (0, None),
        (tolerance, None),
        (tolerance + 1, future),
    ] {
        let answer = world().one(T0, &top_up(id(after_ms, 1), 10));
        assert_eq!(code(&answer), expected, "{after_ms} ms");
    }
    // At a whole millisecond, an id of exactly the horizon's age is fresh.
    let mut world = world();
    assert_eq!(code(&world.one(T0 + 999, &top_up(id(1 - horizon, 1), 10))), None);
    assert_eq!(code(&world.one(T0 + 1_000, &top_up(id(1 - horizon, 2), 10))), expired);
}

#[test]
fn time_never_runs_backwards() {
    let mut world = world();
    let horizon = i64::try_from(HORIZON_MS).unwrap();
    world.one(T0 + 10_000_000, &top_up(id(0, 1), 10));
    // This entry's stamp is older: the ledger's time doesn't change.
    let answer = world.one(T0, &top_up(id(10_000 - horizon, 2), 10));
    assert_eq!(code(&answer), Some(Rejection::IdExpired));
    assert_eq!(world.ledger.time(), T0 + 10_000_000);
}

#[test]
fn an_id_that_was_rejected_for_its_time_may_come_again() {
    let mut world = world();
    let early = top_up(id(10_000, 1), 10);
    assert_eq!(code(&world.one(T0, &early)), Some(Rejection::IdInFuture));
    assert_eq!(code(&world.one(T0, &early)), Some(Rejection::IdInFuture), "not a replay");
    assert_eq!(code(&world.one(T0 + 10_000_000, &early)), None);
}

/// Fills the first generation and begins a second one.
fn fill(world: &mut World) -> u64 {
    for round in 0..3_u128 {
        let commands: Vec<_> = (0..u128::try_from(COMMANDS_MAX).unwrap())
            .map(|number| top_up(id(0, 1_000 + round * 10_000 + number), 1))
            .collect();
        world.entry(T0, &commands);
    }
    world.next_position() - 1
}

#[test]
fn sealed_ids_are_answered_from_the_indexes() {
    let mut world = world();
    let committed = world.one(T0, &top_up(id(1, 1), 10));
    let rejected = world.one(T0, &cash_out(id(1, 2), 11));
    let last = fill(&mut world);
    assert_eq!(world.journal.sealed_asked, 0, "nothing was forgotten yet");

    world.journal.sealed_through = Some(last - 1);
    drop(world.ledger.forget_through(last - 1));
    assert_eq!(world.ledger.outcomes_of(3), None, "its generation is forgotten");
    assert!(world.ledger.outcomes_of(last).is_some(), "the newest is kept");

    let years_later = T0 + 3 * 365 * 86_400 * 1_000_000;
    let again = world.one(T0, &top_up(id(1, 1), 10));
    check_replay(&again, &committed, &world, 3);
    let again = world.one(years_later, &cash_out(id(1, 2), 11));
    check_replay(&again, &rejected, &world, 4);
    assert_eq!(code(&world.one(years_later, &top_up(id(1, 1), 9))), Some(Rejection::IdReused));
    let expired = Some(Rejection::IdExpired);
    assert_eq!(code(&world.one(years_later, &top_up(id(1, 77), 9))), expired, "found nowhere");

    let asked = world.journal.sealed_asked;
    let fresh = i64::try_from((years_later - T0) / 1_000).unwrap();
    assert_eq!(code(&world.one(years_later, &top_up(id(fresh, 1), 9))), None);
    assert_eq!(world.journal.sealed_asked, asked, "a fresh id needs no index");
}

#[test]
fn only_whole_sealed_generations_are_forgotten_and_never_the_newest() {
    let mut world = world();
    world.one(T0, &top_up(id(0, 1), 10));
    drop(world.ledger.forget_through(u64::MAX));
    assert!(world.ledger.outcomes_of(3).is_some());
    let last = fill(&mut world);
    world.journal.sealed_through = Some(last);
    drop(world.ledger.forget_through(3));
    assert!(world.ledger.outcomes_of(3).is_some(), "its generation has later entries");
    drop(world.ledger.forget_through(last));
    assert!(world.ledger.outcomes_of(3).is_none());
    assert_eq!(world.ledger.outcomes_of(last).unwrap().len(), COMMANDS_MAX);
    assert_eq!(world.ledger.outcomes_of(last + 1), None);
}

#[test]
fn a_lookup_that_fails_stops_the_ledger() {
    let mut world = world();
    world.one(T0, &top_up(id(0, 1), 10));
    world.journal.broken = true;
    let fault = world.try_body(T0, body(&[top_up(id(0, 1), 10)])).unwrap_err();
    assert_eq!(fault.to_string(), "the disk failed");
    assert_eq!(world.ledger.fault(), Some(&fault));
    world.journal.broken = false;
    let head = head(world.next_position(), T0);
    let refused =
        world.ledger.apply(&head, &body(&[]), &mut world.journal, &mut Vec::new()).unwrap_err();
    assert_eq!(refused, fault, "the fault stays");
    assert_eq!(world.ledger.checkpoint_begin(true), None);
    assert_eq!(world.ledger.audit_next(1), Err(fault));
}
