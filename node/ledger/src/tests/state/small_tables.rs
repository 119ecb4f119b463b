//! The tables besides the accounts are part of checkpoint, digest and audit.

use evenkeel_wire::{
    command::Command,
    id::KeyId,
    key::{CreateKey, RevokeKey, Role},
    transfer::TransferKind::*,
};

use crate::tests::support::{shop::*, world::*};
use crate::{
    AuditProgress, CheckpointLoader, CheckpointMarker, CheckpointRow, MemoryAdvice,
    tables::days::flows::Flow,
};

/// A refund, a reversal, keys, a closed day and one under way.
fn busy() -> World {
    let mut world = shop();
    for command in events() {
        world.commit(&command);
    }
    world
}

fn events() -> Vec<Command> {
    vec![
        refund(10, PAYMENT, 30),
        moves(11, Fee, (WALLET, FEE), 7),
        reversal(12, 11),
        Command::CreateKey(CreateKey { hash: [1; 32], role: Role::App, account: None }),
        Command::CreateKey(CreateKey {
            hash: [2; 32],
            role: Role::Merchant,
            account: Some(MERCHANT),
        }),
        Command::RevokeKey(RevokeKey { key: KeyId(2) }),
        close("2023-11-15", "2023-11-17"),
        refund(13, PAYMENT, 30),
        hold(14, 5),
    ]
}

/// All rows, and their marker.
fn checkpoint(world: &mut World) -> (Vec<CheckpointRow>, CheckpointMarker) {
    let head = world.ledger.checkpoint_begin(true).unwrap();
    let mut rows = Vec::new();
    while world.ledger.checkpoint_next(1, &mut rows) {}
    world.ledger.checkpoint_end(true);
    (rows, head.marker)
}

fn load(
    (rows, marker): (Vec<CheckpointRow>, CheckpointMarker),
    like: &World,
) -> Result<World, String> {
    let mut loader = CheckpointLoader::new(MemoryAdvice::NONE);
    for row in rows {
        loader.put(row)?;
    }
    let mut world = World { ledger: loader.finish(&marker)?, journal: like.journal.clone() };
    world.journal.sealed_through = Some(marker.position);
    Ok(world)
}

#[test]
fn a_loaded_ledger_continues_like_one_that_never_stopped() {
    let mut whole = busy();
    let mut loaded = load(checkpoint(&mut whole), &whole).unwrap();
    assert_eq!(loaded.ledger.digest(), whole.ledger.digest());
    assert_eq!(loaded.ledger.keys(), whole.ledger.keys());
    for command in [
        refund(20, PAYMENT, 41),
        refund(21, PAYMENT, None),
        reversal(22, 11),
        reversal(12, 11),
        capture(23, 14, 5),
        refund(24, 23, None),
        Command::CreateKey(CreateKey { hash: [2; 32], role: Role::App, account: None }),
        Command::CreateKey(CreateKey { hash: [3; 32], role: Role::App, account: None }),
        close("2023-11-17", "2023-11-18"),
    ] {
        assert_eq!(loaded.one(T0, &command), whole.one(T0, &command), "{command:?}");
        assert_eq!(loaded.ledger.digest(), whole.ledger.digest(), "{command:?}");
    }
    for date in ["2023-11-15", "2023-11-16", "2023-11-17"] {
        let date = evenkeel_wire::day::BusinessDate::parse(date).unwrap();
        assert!(loaded.ledger.closed_day(date).is_some());
        assert_eq!(
            loaded.ledger.closed_day(date),
            whole.ledger.closed_day(date),
            "the same on every node"
        );
    }
}

/// The rows of an earlier checkpoint, replaced by those of a later one, make a complete one.
#[test]
fn only_what_changed_is_copied_again() {
    let mut world = shop();
    let (mut rows, _) = checkpoint(&mut world);
    for command in events() {
        world.commit(&command);
        let head = world.ledger.checkpoint_begin(false).unwrap();
        assert!(!head.all);
        let mut changed = Vec::new();
        while world.ledger.checkpoint_next(2, &mut changed) {}
        world.ledger.checkpoint_end(true);
        assert!(changed.len() < 9, "{} rows after {command:?}", changed.len());
        for row in changed {
            rows.retain(|before| name(before) != name(&row));
            rows.push(row);
        }
        let loaded = load((rows.clone(), head.marker), &world).unwrap();
        assert_eq!(loaded.ledger.digest(), world.ledger.digest());
    }
}

fn name(row: &CheckpointRow) -> String {
    match row {
        CheckpointRow::Account(account) => account.id.to_string(),
        CheckpointRow::Setting { name, .. } => name.clone(),
        CheckpointRow::Table { table, key, .. } => format!("{table} {key:032x}"),
    }
}

#[test]
fn missing_and_changed_rows_are_refused() {
    let mut world = busy();
    let (rows, marker) = checkpoint(&mut world);
    assert!(load((rows.clone(), marker.clone()), &world).is_ok());
    for at in 0..rows.len() {
        let (CheckpointRow::Setting { value, .. } | CheckpointRow::Table { value, .. }) = &rows[at]
        else {
            continue;
        };
        let name = name(&rows[at]);
        let mut lacking = rows.clone();
        lacking.remove(at);
        assert!(load((lacking, marker.clone()), &world).is_err(), "without {name}");
        for byte in 0..value.len() {
            let mut changed = rows.clone();
            let (CheckpointRow::Setting { value, .. } | CheckpointRow::Table { value, .. }) =
                &mut changed[at]
            else {
                unreachable!()
            };
            value[byte] ^= 1;
            assert!(load((changed, marker.clone()), &world).is_err(), "byte {byte} of {name}");
        }
    }
}

#[test]
fn every_table_is_part_of_the_digest() {
    let changes: &[fn(&mut World)] = &[
        |world| drop(world.ledger.tables.refunds.add(id(0, PAYMENT), 1, 100)),
        |world| world.ledger.tables.reversals.remove_reversal(id(0, 11)),
        |world| world.ledger.tables.revoke_key(KeyId(1)),
        |world| assert!(world.ledger.tables.keys.set_revoked(KeyId(2), false)),
        |world| world.ledger.tables.days.count_movement(Flow::from_number(0).unwrap(), 0, 1),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut world = busy();
        let before = world.ledger.digest();
        change(&mut world);
        assert_ne!(world.ledger.digest(), before, "change {number}");
    }
}

#[test]
fn an_audit_in_the_smallest_slices_checks_every_table() {
    let mut world = busy();
    let rows = 5 + 1 + 1 + 1 + 3 + 1;
    let slices = (1..).find(|_| {
        let progress = world.ledger.audit_next(1).unwrap();
        matches!(progress, AuditProgress::Agreed { .. })
    });
    assert!(slices.unwrap() >= rows, "{slices:?}");
}
