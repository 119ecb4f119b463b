//! A damaged checkpoint is refused.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    codec,
    transfer::TransferKind,
};

use super::checkpoints::*;
use crate::tests::support::{commands::*, world::*};
use crate::{CheckpointAccount, CheckpointMarker};

const HOLDS: u8 = 1;
const OPENING_LIMITS: u8 = 6;

/// A bank, a wallet that was opened with limits and has 20 of its 70 held, and the frozen merchant
/// of that hold.
fn sample() -> Stored {
    let mut world = World::bootstrapped();
    let (bank, wallet, merchant) = (account(1), account(2), account(3));
    world.open(bank, AccountKind::Bank, "KRW");
    let own = limits(Some(500), Some(100), None);
    let top_up = transfer(id(0, 1), TransferKind::TopUp, (bank, wallet), 70, "KRW");
    for command in [
        open_limited(wallet, AccountKind::Wallet, "KRW", own),
        open(merchant, AccountKind::Merchant, "KRW", "Mina's"),
        top_up,
        hold(id(0, 2), (wallet, merchant), 20, 5_000),
        set_status(id(0, 3), merchant, AccountStatus::Frozen),
    ] {
        assert_eq!(code(&world.one(T0, &command)), None);
    }
    let mut stored = Stored::default();
    checkpoint(&mut world.ledger, &mut stored, true);
    assert_eq!(stored.load().unwrap().digest(), world.ledger.digest());
    stored
}

#[test]
fn every_changed_field_is_refused() {
    let changes: &[fn(&mut CheckpointAccount)] = &[
        |row| row.id += 1,
        |row| row.kind = if row.kind == 1 { 3 } else { 4 },
        |row| row.kind = 9,
        |row| row.status = if row.status == 1 { 2 } else { 1 },
        |row| row.status = 3,
        |row| row.status = 4,
        |row| row.asset = asset("POINT").number(),
        |row| row.asset = asset("EUR").number(),
        |row| row.asset = 1,
        |row| row.posted += 1,
        |row| row.posted = -row.posted - 1,
        |row| row.held += 1,
        |row| row.held = -1,
        |row| row.incoming_holds += 1,
        |row| row.debited_today += 1,
        |row| row.debited_date += 1,
        |row| row.max_balance = if row.max_balance.is_some() { None } else { Some(1 << 53) },
        |row| row.max_balance = Some(501),
        |row| row.per_transfer = Some(1),
        |row| row.per_transfer = Some(u64::MAX),
        |row| row.daily_debit = Some(1),
        |row| row.opened_at += 1,
        |row| row.opened_position -= 1,
        |row| row.opened_index += 1,
        |row| row.changed_position -= 1,
        |row| row.changed_position += 1,
        |row| row.label.push('!'),
        |row| row.label = "x".repeat(65),
    ];
    for (number, change) in changes.iter().enumerate() {
        for account in [1, 2, 3] {
            let mut stored = sample();
            change(stored.accounts.get_mut(&account).unwrap());
            assert!(stored.load().is_err(), "change {number} of account {account}");
        }
    }
    assert!(sample().load().is_ok());
}

#[test]
fn shifted_balances_and_missing_rows_are_refused() {
    let mut shifted = sample();
    shifted.accounts.get_mut(&1).unwrap().posted -= 1;
    shifted.accounts.get_mut(&2).unwrap().posted += 1;
    assert_eq!(shifted.load().err().unwrap(), "the digest isn't the marker's");
    let mut lacking = sample();
    lacking.accounts.remove(&3);
    lacking.accounts.get_mut(&2).unwrap().held = 0;
    lacking.entries.remove(&hold_row());
    assert_eq!(lacking.load().err().unwrap(), "2 accounts, the marker says 3");
    let mut rows = sample().rows();
    rows.push(rows[0].clone());
    let twice = load(rows, sample().marker.as_ref().unwrap()).err().unwrap();
    assert!(twice.contains("twice"), "{twice}");
}

fn hold_row() -> (u8, u128) {
    (HOLDS, id(0, 2).number())
}

fn change_account(stored: &mut Stored, account: u128, change: impl FnOnce(&mut CheckpointAccount)) {
    change(stored.accounts.get_mut(&account).unwrap());
}

fn change_hold(stored: &mut Stored, debit: u128, credit: u128, amount: u64) {
    let hold = codec::encode(&(account(debit), account(credit), amount, T0 + 5_000_000));
    stored.entries.insert(hold_row(), hold);
}

/// A change of a sample, and a part of the error.
type Damage = (fn(&mut Stored), &'static str);

const DAMAGES: &[Damage] = &[
    (|stored| drop(stored.entries.remove(&hold_row())), "20 held and 0 incoming holds, its open"),
    (|stored| change_hold(stored, 2, 3, 21), "open holds say 21 and 0"),
    (|stored| change_hold(stored, 1, 3, 20), "is no wallet"),
    (|stored| change_hold(stored, 2, 2, 20), "is no merchant"),
    (|stored| change_hold(stored, 2, 9, 20), "is no merchant"),
    (|stored| change_hold(stored, 2, 3, 0), "0 can't be held"),
    (|stored| change_hold(stored, 2, 3, u64::MAX), "can't be held"),
    (
        |stored| {
            let hold = stored.entries[&hold_row()].clone();
            stored.entries.insert((HOLDS, 7), hold);
        },
        "its id is a UUID, but not of version 7",
    ),
    (
        |stored| {
            let hold = stored.entries[&hold_row()].clone();
            stored.entries.insert((HOLDS, id(0, 5).number()), hold);
        },
        "open holds say 40 and 0",
    ),
    (|stored| drop(stored.entries.remove(&(OPENING_LIMITS, 2))), "the digest isn't the marker's"),
    (
        |stored| {
            let own = stored.entries[&(OPENING_LIMITS, 2)].clone();
            stored.entries.insert((OPENING_LIMITS, 9), own);
        },
        "which is missing",
    ),
    (|stored| drop(stored.entries.insert((OPENING_LIMITS, 2), vec![9])), "table 6, row"),
    (|stored| drop(stored.entries.insert((77, 2), vec![9])), "there is no such table"),
    (|stored| change_account(stored, 2, |row| row.posted = 19), "can't have 19 posted and 20 held"),
    (|stored| change_account(stored, 3, |row| row.status = 3), "it's closed and not empty"),
    (|stored| change_account(stored, 2, |row| row.per_transfer = Some(1 << 53)), "is no limit"),
    (
        |stored| change_account(stored, 2, |row| row.debited_date = 20_231_116),
        "debited after the business date",
    ),
    (|stored| change_account(stored, 2, |row| row.debited_date = 20_230_229), "are impossible"),
    (
        |stored| change_account(stored, 2, |row| row.debited_date = 0),
        "debits of 20 on 0 are impossible",
    ),
    (|stored| change_account(stored, 2, |row| row.debited_today = 0), "debits of 0 on"),
    (|stored| change_account(stored, 2, |row| row.debited_today = 1 << 53), "are impossible"),
];

#[test]
fn contradictions_are_named() {
    for (number, (change, what)) in DAMAGES.iter().enumerate() {
        let mut stored = sample();
        change(&mut stored);
        let found = stored.load().err().unwrap_or_else(|| panic!("damage {number}"));
        assert!(found.contains(what), "damage {number}: {found}");
    }
}

#[test]
fn changed_settings_and_markers_are_refused() {
    let good = sample();
    for name in good.settings.keys() {
        let mut lacking = good.clone();
        lacking.settings.remove(name);
        assert!(lacking.load().is_err(), "without {name}");
        for at in 0..good.settings[name].len() {
            let mut changed = good.clone();
            changed.settings.get_mut(name).unwrap()[at] ^= 1;
            assert!(changed.load().is_err(), "byte {at} of {name}");
        }
    }
    let mut unknown = good.clone();
    unknown.settings.insert("other".into(), Vec::new());
    assert_eq!(unknown.load().err().unwrap(), "setting other: unknown");
    let changes: &[fn(&mut CheckpointMarker)] = &[
        |marker| marker.format += 1,
        |marker| marker.position += 1,
        |marker| marker.position -= 1,
        |marker| marker.accounts += 1,
        |marker| marker.digest[31] ^= 1,
        |marker| marker.sums[0].1 += 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = good.clone();
        change(changed.marker.as_mut().unwrap());
        assert!(changed.load().is_err(), "change {number} of the marker");
    }
}
