//! Entries that no primary makes are faults; entries without commands only advance the position.

use evenkeel_wire::{
    account::AccountKind, codec, entry::EntryBuilder, id::OPERATOR_KEY, transfer::TransferKind,
};

use crate::AppliedCounts;
use crate::tests::support::world::*;

fn check_fault(what: &str, body: Vec<u8>) {
    let mut world = World::bootstrapped();
    let position = world.next_position();
    let answers_of_others = world.one(T0, &open(account(9), AccountKind::Bank, "KRW", ""));
    let mut answers = vec![answers_of_others];
    let head = head(position + 1, T0);
    let fault = world.ledger.apply(&head, &body, &mut world.journal, &mut answers).unwrap_err();
    let text = fault.to_string();
    assert!(text.contains(what) && text.starts_with("position 2"), "{text}");
    assert_eq!(answers, [answers_of_others], "answers of a half applied entry are removed");
}

#[test]
fn an_entry_that_cannot_be_decoded_stops_the_ledger() {
    let command = codec::encode(&open(account(1), AccountKind::Wallet, "KRW", ""));
    let group = |commands: u32, bytes: &[u8]| {
        let mut builder = EntryBuilder::new();
        builder.push(OPERATOR_KEY, false, commands, bytes);
        builder.finish()
    };
    check_fault("shorter than its head", vec![1, 0, 0]);
    check_fault("rules", vec![9, 0, 0, 0, 0, 0, 0, 0]);
    check_fault("more commands", group(0, &command));
    check_fault("fewer commands", group(2, &command));
    check_fault("isn't a valid command", group(1, &[77]));
    check_fault("missing", group(1, &command[..command.len() - 1]));
    let mut trailing = group(1, &command);
    trailing.push(0);
    check_fault("bytes follow", trailing);
}

#[test]
fn positions_have_no_gaps() {
    let mut world = World::bootstrapped();
    world.ledger.skip_entry(&head(1, T0)).unwrap();
    assert_eq!(world.ledger.position(), Some(1));
    for (position, expected) in [(1, 2), (3, 2)] {
        let mut world = World::bootstrapped();
        world.ledger.skip_entry(&head(1, T0)).unwrap();
        let what = world
            .ledger
            .apply(&head(position, T0), &body(&[]), &mut world.journal, &mut Vec::new())
            .unwrap_err();
        assert!(what.to_string().contains(&format!("expected position {expected}")), "{what}");
    }
    let what = world.ledger.skip_entry(&head(7, T0)).unwrap_err();
    assert!(what.to_string().contains("expected position 2"), "{what}");
    assert!(world.ledger.fault().is_some());
}

#[test]
fn nothing_is_decided_before_genesis() {
    let pay = transfer(id(0, 1), TransferKind::TopUp, (account(1), account(2)), 1, "KRW");
    for command in [pay, open(account(1), AccountKind::Bank, "KRW", "")] {
        let mut world = World::empty();
        world.entry(T0, &[]);
        assert_eq!(world.ledger.totals().assets, []);
        let fault = world.try_body(T0, body(&[command])).unwrap_err();
        assert_eq!(fault.to_string(), "position 1: a command before genesis");
    }
}

#[test]
fn an_entry_without_commands_advances_position_and_time() {
    let mut world = World::bootstrapped();
    let before = world.ledger.digest();
    world.ledger.skip_entry(&head(1, T0 + 5)).unwrap();
    assert_eq!(world.ledger.last_entry(), Some(&head(1, T0 + 5)));
    assert_eq!(world.ledger.time(), T0 + 5);
    assert_eq!(world.ledger.outcomes_of(1), None);
    assert_ne!(world.ledger.digest(), before);
    world.ledger.skip_entry(&head(2, 0)).unwrap();
    assert_eq!(world.ledger.time(), T0 + 5);
}

#[test]
fn commands_are_counted() {
    let mut world = World::bootstrapped();
    let (bank, wallet) = (account(1), account(2));
    let pay = |number, amount| {
        transfer(id(0, number), TransferKind::TopUp, (bank, wallet), amount, "KRW")
    };
    let commands = [
        open(bank, AccountKind::Bank, "KRW", ""),
        open(wallet, AccountKind::Wallet, "KRW", ""),
        pay(1, 5),
        pay(1, 5),
        pay(2, 0),
    ];
    let (applied, answers) = world.try_body(T0, body(&commands)).unwrap();
    assert_eq!(applied, AppliedCounts { commands: 5, committed: 3, rejected: 1, replayed: 1 });
    assert_eq!(answers.len(), 5);
    assert_eq!(world.posted(wallet), 5, "both were opened in the same group of commands");
}
