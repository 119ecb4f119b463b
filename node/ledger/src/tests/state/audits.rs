//! Leaks of money and corrupted rows are detected.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    id::AccountId,
    transfer::{Text, TransferKind},
};
use proptest::prelude::*;

use crate::tests::support::{commands::hold, history::*, world::*};
use crate::{AuditProgress, LedgerFault, OpenHold};

const BANK: AccountId = account(1);
const WALLET: AccountId = account(2);

fn world() -> World {
    let mut world = World::bootstrapped();
    world.open(BANK, AccountKind::Bank, "KRW");
    world.open(WALLET, AccountKind::Wallet, "KRW");
    world.open(account(3), AccountKind::Wallet, "POINT");
    world.one(T0, &transfer(id(0, 1), TransferKind::TopUp, (BANK, WALLET), 70, "KRW"));
    world
}

/// A ledger with 5 of the wallet's 70 held for a shop.
fn holding_world() -> World {
    let mut world = world();
    world.open(account(4), AccountKind::Merchant, "KRW");
    world.one(T0, &hold(id(0, 9), (WALLET, account(4)), 5, 5_000));
    world
}

fn audit(world: &mut World) -> Result<(), LedgerFault> {
    loop {
        if let AuditProgress::Agreed { .. } = world.ledger.audit_next(1)? {
            return Ok(());
        }
    }
}

#[test]
fn a_leak_of_one_unit_stops_the_ledger_at_its_entry() {
    let mut world = world();
    world.ledger.tables.planted_leak = true;
    let pay = transfer(id(0, 2), TransferKind::CashOut, (WALLET, BANK), 7, "KRW");
    let fault = world.try_body(T0, body(&[pay])).unwrap_err();
    assert_eq!(fault.to_string(), "position 5: KRW sums to 1 instead of 0");
    assert_eq!(world.ledger.fault(), Some(&fault));
}

#[test]
fn a_leak_is_found_in_every_asset() {
    let mut world = world();
    let issuer = account(9);
    world.open(issuer, AccountKind::Issuer, "POINT");
    world.ledger.tables.planted_leak = true;
    let grant = transfer(id(0, 2), TransferKind::Grant, (issuer, account(3)), 7, "POINT");
    let fault = world.try_body(T0, body(&[grant])).unwrap_err();
    assert_eq!(fault.to_string(), "position 6: POINT sums to 1 instead of 0");
}

#[test]
fn repeated_audits_agree_with_a_sound_ledger() {
    let mut world = world();
    for _ in 0..3 {
        assert_eq!(audit(&mut world), Ok(()));
    }
    let underway = AuditProgress::Underway { checked: 2, accounts: 3 };
    assert_eq!(world.ledger.audit_next(2), Ok(underway));
    assert_eq!(world.ledger.audit_next(2), Ok(AuditProgress::Agreed { accounts: 3 }));
    assert_eq!(World::empty().ledger.audit_next(9), Ok(AuditProgress::Agreed { accounts: 0 }));
}

type Change = (fn(&mut World), &'static str);

#[test]
fn an_audit_finds_corrupted_rows() {
    let changes: &[Change] = &[
        (
            |world| world.ledger.tables.accounts.rows[1].posted += 1,
            "the rows of KRW sum to 1, the running sum is 0",
        ),
        (|world| world.ledger.tables.accounts.rows[2].posted += 3, "the rows of POINT sum to 3"),
        (
            |world| world.ledger.tables.accounts.rows[2].posted -= 3,
            "posted balance is less than its held",
        ),
        (
            |world| {
                world.ledger.tables.accounts.rows[0].posted -= 1;
                world.ledger.tables.accounts.rows[1].posted += 1;
            },
            "by kind",
        ),
        (|world| world.ledger.tables.accounts.rows[1].changed_position += 1, "digest"),
        (|world| world.ledger.tables.accounts.digest ^= 1, "digest"),
        (|world| world.ledger.tables.accounts.rows[1].kind = AccountKind::Bank, "opened with"),
        (|world| world.ledger.tables.accounts.opened[1].limits = 1, "opened with"),
        (
            |world| world.ledger.tables.accounts.opened[1].label = Text::new("?").unwrap(),
            "00000000-0000-0000-0000-000000000002: a field that it was opened with has changed",
        ),
        (|world| world.ledger.tables.accounts.rows[1].id = BANK, "opened with"),
        (|world| world.ledger.tables.accounts.rows[1].asset_index = 1, "opened with"),
        (|world| world.ledger.tables.accounts.rows[1].asset_index = 2, "its asset is unknown"),
        (|world| world.ledger.tables.accounts.rows[1].status = AccountStatus::Frozen, "digest"),
        (|world| world.ledger.tables.accounts.extras[0].held += 1, "the rows' held amounts aren't"),
        (
            |world| world.ledger.tables.accounts.extras[1].incoming_holds = 2,
            "the rows' held amounts aren't",
        ),
        (
            |world| world.ledger.tables.accounts.extras[0].held = 71,
            "posted balance is less than its held",
        ),
        (
            |world| world.ledger.tables.accounts.extras[0].held = -1,
            "posted balance is less than its held",
        ),
        (|world| world.ledger.tables.accounts.extras[0].per_transfer = 5, "digest"),
        (|world| world.ledger.tables.accounts.extras[0].daily_debit = 5, "digest"),
        (|world| world.ledger.tables.accounts.extras[1].max_balance = 5, "digest"),
        (|world| world.ledger.tables.accounts.rows[1].extra = 2, "the rows' held amounts aren't"),
        (|world| world.ledger.tables.accounts.rows[1].debited_today += 1, "digest"),
        (|world| world.ledger.tables.accounts.rows[1].debited_date += 1, "digest"),
        (
            |world| {
                let held = world.ledger.open_hold(id(0, 9)).unwrap();
                let later = OpenHold { expires_at: held.expires_at + 1, ..held };
                world.ledger.tables.holds.table.set(id(0, 9).number(), Some(later));
            },
            "the rows of open holds are unsound",
        ),
    ];
    for (number, (change, what)) in changes.iter().enumerate() {
        let mut world = holding_world();
        change(&mut world);
        let fault = audit(&mut world).unwrap_err().to_string();
        assert!(
            fault.starts_with("audit at position 6: ") && fault.contains(what),
            "{number}: {fault}"
        );
        assert!(world.ledger.fault().is_some());
    }
}

#[test]
fn a_corrupted_balance_is_found_after_later_transfers() {
    let mut world = world();
    world.ledger.tables.accounts.rows[1].posted += 1;
    let pay = transfer(id(0, 2), TransferKind::CashOut, (WALLET, BANK), 7, "KRW");
    world.one(T0, &pay);
    let fault = audit(&mut world).unwrap_err().to_string();
    assert_eq!(fault, "audit at position 5: the rows of KRW sum to 1, the running sum is 0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_audit_in_slices_agrees_while_entries_are_applied(
        history in histories(),
        rows in 1..5_usize,
    ) {
        let mut world = World::empty();
        let mut finished = 0;
        for event in history.0.iter() {
            world.apply_event(event);
            if let AuditProgress::Agreed { .. } = world.ledger.audit_next(rows).unwrap() {
                finished += 1;
            }
        }
        prop_assert!(finished > 0);
    }
}
