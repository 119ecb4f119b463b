//! Business days: commands after the marker count for the next day, reports add up, and figures
//! that don't add up are a fault.

use evenkeel_wire::{
    command::Command,
    day::BusinessDate,
    outcome::Rejection::{self, *},
    reply::DayView,
    transfer::TransferKind::*,
};

use crate::tests::support::{shop::*, world::*};

fn day(world: &World, text: &str) -> Option<DayView> {
    world.ledger.closed_day(BusinessDate::parse(text).unwrap())
}

fn date(world: &World) -> String {
    world.ledger.business_date().unwrap().to_string()
}

#[test]
fn the_next_command_counts_for_the_next_day() {
    let mut world = shop();
    let marker = world.next_position();
    world.commit(&close("2023-11-15", "2023-11-16"));
    assert_eq!(date(&world), "2023-11-16");
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, 0);
    world.commit(&moves(10, Payment, (WALLET, MERCHANT), 7));
    assert_eq!(world.ledger.account(WALLET).unwrap().debited_today, 7);
    world.commit(&close("2023-11-16", "2023-11-18"));

    let first = day(&world, "2023-11-15").unwrap();
    let second = day(&world, "2023-11-16").unwrap();
    assert_eq!((first.first_position, first.last_position), (0, marker));
    assert_eq!(first.link, head(marker, T0).link);
    assert_eq!((second.first_position, second.last_position), (marker + 1, marker + 2));
    assert_eq!(second.assets[0].opening, first.assets[0].closing);
    assert_eq!(second.assets[0].closing, world.ledger.totals().assets[0]);
    let moved: Vec<_> =
        first.assets[0].movements.iter().map(|row| (row.kind, row.count, row.sum)).collect();
    assert_eq!(moved, [(TopUp, 1, 1_000), (Payment, 1, 100)]);
    assert!(first.assets[1].movements.is_empty());
    assert!(day(&world, "2023-11-17").unwrap().assets[0].movements.is_empty(), "a skipped day");
    assert_eq!(day(&world, "2023-11-18"), None, "it's under way");
}

/// All flows; the ledger compares the figures at the close.
#[test]
fn every_flow_is_counted() {
    let mut world = shop();
    for command in [
        moves(10, Transfer, (WALLET, account(9)), 1),
        moves(11, CashOut, (WALLET, BANK), 10),
        moves(12, CashOut, (MERCHANT, BANK), 5),
        moves(13, Fee, (WALLET, FEE), 4),
        moves(14, Fee, (MERCHANT, FEE), 3),
        moves(15, Grant, (ISSUER, WALLET), 2),
        moves(16, TopUp, (BANK, WALLET), 9),
        refund(17, PAYMENT, 20),
        hold(18, 50),
        capture(19, 18, 30),
        hold(20, 50),
        reversal(21, 11),
        reversal(22, 12),
        reversal(23, 13),
        reversal(24, 14),
        reversal(25, 15),
        reversal(26, 16),
    ] {
        if let Command::Transfer(transfer) = &command
            && transfer.kind == Transfer
        {
            world.open(account(9), evenkeel_wire::account::AccountKind::Wallet, "KRW");
        }
        world.commit(&command);
    }
    world.commit(&close("2023-11-15", "2023-11-16"));
    let report = day(&world, "2023-11-15").unwrap();
    let moved: Vec<_> =
        report.assets[0].movements.iter().map(|row| (row.kind, row.count, row.sum)).collect();
    let expected = [
        (TopUp, 2, 1_009),
        (Transfer, 1, 1),
        (Payment, 2, 130),
        (CashOut, 2, 15),
        (Fee, 2, 7),
        (Grant, 1, 2),
        (Refund, 1, 20),
        (Reversal, 6, 33),
    ];
    assert_eq!(moved, expected, "an open hold moves nothing");
}

#[test]
fn a_marker_of_another_day_or_among_other_commands_changes_nothing() {
    let good = || close("2023-11-15", "2023-11-16");
    let pay = |number| moves(number, Payment, (WALLET, MERCHANT), 1);
    let not_open = Some(DayNotOpen);
    let rows: [(Vec<Command>, Vec<Option<Rejection>>); 7] = [
        (vec![close("2023-11-14", "2023-11-15")], vec![not_open]),
        (vec![close("2023-11-16", "2023-11-17")], vec![not_open]),
        (vec![close("2023-11-15", "2023-11-15")], vec![not_open]),
        (vec![close("2023-11-15", "2023-11-14")], vec![not_open]),
        (vec![good(), pay(10)], vec![not_open, None]),
        (vec![pay(11), good()], vec![None, not_open]),
        ((12..32).map(pay).chain([good()]).collect(), [vec![None; 20], vec![not_open]].concat()),
    ];
    let mut world = shop();
    for (commands, expected) in rows {
        let answers = world.entry(T0, &commands);
        assert_eq!(answers.iter().map(code).collect::<Vec<_>>(), expected);
        assert_eq!(date(&world), "2023-11-15");
    }
    world.commit(&good());
    assert_eq!(world.code_of(&good()), not_open, "the marker of a second primary is late");
}

#[test]
fn a_failed_group_is_not_counted() {
    let mut world = shop();
    let broke = moves(11, Payment, (WALLET, MERCHANT), 5_000);
    let codes = world.atomic(&[moves(10, Payment, (WALLET, MERCHANT), 5), hold(12, 9), broke]);
    assert_eq!(codes, [Some(BatchFailed), Some(BatchFailed), Some(InsufficientFunds)]);
    world.commit(&close("2023-11-15", "2023-11-16"));
    let report = day(&world, "2023-11-15").unwrap();
    assert_eq!(report.assets[0].movements[1].count, 1, "the shop's own payment");
}

#[test]
fn figures_that_do_not_add_up_stop_the_ledger() {
    let mut world = World::bootstrapped();
    world.open(BANK, evenkeel_wire::account::AccountKind::Bank, "KRW");
    world.open(WALLET, evenkeel_wire::account::AccountKind::Wallet, "KRW");
    world.ledger.tables.days.planted_miscount = true;
    world.commit(&moves(1, TopUp, (BANK, WALLET), 70));
    let marker = body(&[close("2023-11-15", "2023-11-16")]);
    let fault = world.try_body(T0, marker).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "position 4: day 2023-11-15: wallet accounts opened with 0 KRW and +0 moved, which \
         doesn't make their sum of 70"
    );
    assert_eq!(world.ledger.fault(), Some(&fault));
    assert_eq!(date(&world), "2023-11-15");
    assert!(world.try_body(T0, body(&[])).is_err(), "it refuses further entries");
}

#[test]
fn an_audit_checks_the_day_under_way() {
    let mut world = shop();
    world.ledger.tables.days.planted_miscount = true;
    world.commit(&moves(10, TopUp, (BANK, WALLET), 70));
    let fault = (0..9).find_map(|_| world.ledger.audit_next(100).err()).unwrap();
    assert!(fault.to_string().contains("days"), "{fault}");
}
