//! Entries: groups, indexes, and what nothing may send.

use evenkeel_wire::{
    command::Command,
    day::{BusinessDate, CloseDay},
    hold::ExpireHold,
    outcome::{Outcome, Rejection},
};

use super::world::*;
use crate::journal::JournalModel;

pub(crate) fn begun_journal() -> JournalModel {
    let mut journal = JournalModel::default();
    for (command, position) in beginning().into_iter().zip(0..) {
        journal.apply_entry(position, NOW, &entry(&[(false, vec![command])])).unwrap();
    }
    journal
}

fn outcomes(journal: &JournalModel, position: u64) -> Vec<Outcome> {
    journal.decided_at(position).iter().map(|decided| decided.decision.outcome).collect()
}

#[test]
fn new_outcomes_are_numbered_and_replays_keep_theirs() {
    let mut journal = begun_journal();
    let (one, two) = (pay(100, RICH, SHOP, 1), pay(101, POOR, SHOP, 1));
    let early = Command::ExpireHold(ExpireHold { hold: id(8) });
    let groups = [
        (false, vec![one.clone(), early, two.clone(), one.clone()]),
        (true, vec![pay(102, RICH, SHOP, 1), one.clone()]),
        (false, vec![pay(103, RICH, SHOP, 1)]),
    ];
    journal.apply_entry(500, NOW, &entry(&groups)).unwrap();
    let indexes: Vec<u16> = outcomes(&journal, 500).iter().map(|outcome| outcome.index).collect();
    assert_eq!(indexes, [0, Outcome::NO_INDEX, 1, 0, 2, 0, 3]);
    let firsts = journal.decided_at(500).iter().map(|decided| decided.decision.first);
    let expected = [None, None, None, Some(500), None, Some(500), None];
    assert_eq!(firsts.collect::<Vec<_>>(), expected);
}

#[test]
fn a_group_fails_as_a_whole_and_leaves_nothing() {
    let mut journal = begun_journal();
    let group = vec![pay(100, RICH, SHOP, 1), pay(101, POOR, SHOP, 1), hold(102, RICH, SHOP, 1)];
    let groups = [(true, group), (false, vec![pay(103, RICH, SHOP, 5)])];
    journal.apply_entry(500, NOW, &entry(&groups)).unwrap();
    let failed = |rejection| (Outcome::NO_INDEX, Some(rejection));
    let got: Vec<_> = outcomes(&journal, 500).iter().map(|o| (o.index, o.rejection)).collect();
    let (batch, funds) = (Rejection::BatchFailed, Rejection::InsufficientFunds);
    assert_eq!(got, [failed(batch), failed(funds), failed(batch), (0, None)]);
    for number in 100..103 {
        assert!(journal.model().first_decision(id(number)).is_none(), "{number}");
    }
    assert_eq!(journal.model().balance_at(RICH, 500), Some(RICH_HAS - 5));
    assert_eq!(journal.model().find_account(RICH).unwrap().1.held, 0);
    // A replayed rejection fails its group, too.
    let poor = pay(104, POOR, SHOP, 1);
    let groups = [(false, vec![poor.clone()]), (true, vec![poor, pay(105, RICH, SHOP, 1)])];
    journal.apply_entry(501, NOW, &entry(&groups)).unwrap();
    assert_eq!(outcomes(&journal, 501)[1].rejection, Some(funds));
    assert_eq!(outcomes(&journal, 501)[2].rejection, Some(batch));
    assert!(journal.describe_counts().contains("0 committed, 2 failed"));
}

#[test]
fn what_nothing_may_send_is_found() {
    let next = BusinessDate::FIRST.next();
    let close = Command::CloseDay(CloseDay { closed: BusinessDate::FIRST, next });
    let expire = Command::ExpireHold(ExpireHold { hold: id(8) });
    let good = entry(&[(false, vec![pay(100, RICH, SHOP, 1)])]);
    let mut cut = good.clone();
    cut.pop();
    let mut unreadable = good.clone();
    *unreadable.last_mut().unwrap() = 200;
    for (body, expected) in [
        (entry(&[(false, vec![close.clone(), pay(100, RICH, SHOP, 1)])]), "isn't alone"),
        (entry(&[(false, vec![pay(100, RICH, SHOP, 1)]), (false, vec![close])]), "isn't alone"),
        (entry(&[(true, vec![expire])]), "in an atomic group"),
        (cut, "position 500"),
        (unreadable, "position 500"),
        (Vec::new(), "position 500"),
    ] {
        let found = begun_journal().apply_entry(500, NOW, &body).expect_err(expected).to_string();
        assert!(found.contains(expected), "{found}");
    }
    assert!(begun_journal().apply_entry(500, NOW, &good).is_ok());
}
