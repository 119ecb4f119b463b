//! Small stories that the random history contains too rarely.

use evenkeel_wire::{
    account::{AccountStatus, LimitChange},
    amount::Amount,
    hold::HoldStatus,
    id::{AccountId, CommandId},
    reply::{HoldView, View},
    request::Query,
    transfer::TransferKind,
};

use super::{
    pages::page,
    play::Play,
    site::Site,
    words::{
        BANK, MERCHANTS, WALLETS, capture, expire, genesis, hold, limits, openings, refund, status,
        transfer, void,
    },
};
use crate::history::{EventCursor, EventKind, Subject};

fn id(number: u128) -> CommandId {
    CommandId::from_parts(1_700_000_000_000, number)
}

fn founded() -> Site {
    let mut site = Site::new(1 << 20);
    site.commands(&[genesis()]);
    site.commands(&openings());
    site.committed(transfer(id(1), TransferKind::TopUp, BANK, WALLETS[0], 1_000));
    site
}

fn hold_view(site: &Site, hold: CommandId) -> HoldView {
    match site.state.answer_query(&Query::Hold(hold)).unwrap() {
        View::Hold(view) => *view,
        other => panic!("{other:?}"),
    }
}

/// The entry after the hold's end is later than that end, and no release is written: the hold is
/// expired all the same, and a later release doesn't change what is shown.
#[test]
fn a_hold_whose_time_is_up_is_told_as_expired_before_its_release_is_written() {
    let mut site = founded();
    site.committed(hold(id(2), 0, 0, 100, 50));
    assert_eq!(hold_view(&site, id(2)).status, HoldStatus::Open);
    site.now += 1_000_000;
    site.committed(transfer(id(3), TransferKind::TopUp, BANK, WALLETS[1], 5));
    let due = hold_view(&site, id(2));
    assert_eq!((due.status, due.closed_by, due.captured), (HoldStatus::Expired, None, 0));
    site.committed(expire(id(2)));
    assert_eq!(hold_view(&site, id(2)), due);
}

/// A payment and its refund in one atomic group: when the refund's payment is looked up, its entry
/// is the newest one and isn't in the recent index yet.
#[test]
fn a_target_in_the_same_entry_is_found() {
    let mut site = founded();
    let group = vec![
        transfer(id(2), TransferKind::Payment, WALLETS[0], MERCHANTS[0], 300),
        refund(id(3), id(2), Some(100)),
        hold(id(4), 0, 0, 60, 1_000),
        capture(id(5), id(4), None),
        refund(id(6), id(5), Some(10)),
    ];
    site.entry(&[(true, group)]);
    let items = page(&site, MERCHANTS[0], 10, None).items;
    let told = items
        .iter()
        .map(|item| (item.transfer.id, item.transfer.kind, item.transfer.amount.0, item.refunded));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (id(6), TransferKind::Refund, 10, None),
            (id(5), TransferKind::Payment, 60, Some(10)),
            (id(3), TransferKind::Refund, 100, None),
            (id(2), TransferKind::Payment, 300, Some(100)),
        ]
    );
}

/// A failed group leaves nothing to be found, listed or sent as an event.
#[test]
fn a_failed_group_leaves_no_trace() {
    let mut site = founded();
    let group = vec![
        transfer(id(2), TransferKind::Payment, WALLETS[0], MERCHANTS[0], 300),
        transfer(id(3), TransferKind::Payment, WALLETS[0], MERCHANTS[0], 5_000),
    ];
    site.entry(&[(true, group)]);
    assert!(site.state.answer_query(&Query::Transfer(id(2))).is_err());
    assert_eq!(page(&site, MERCHANTS[0], 10, None).items, []);
    let position = site.newest();
    let events = site.state.events_after(EventCursor::Entry(position - 1), 10).unwrap();
    assert_eq!((events.events, events.next), (vec![], EventCursor::Entry(position)));
}

#[test]
fn an_accounts_events_say_what_was_changed() {
    let mut site = founded();
    let from = EventCursor::Entry(site.newest());
    let wallet = WALLETS[2];
    for command in [
        limits(id(2), wallet, 70),
        status(id(3), wallet, AccountStatus::Frozen),
        status(id(4), wallet, AccountStatus::Open),
        status(id(5), wallet, AccountStatus::Closed),
    ] {
        site.committed(command);
    }
    let events = site.state.events_after(from, 10).unwrap().events;
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let Subject::Account(change) = &event.subject else { panic!("{event:?}") };
            assert_eq!((change.id, change.label.as_str()), (wallet, "wallet 12"));
            (event.kind, change.status, change.limits.per_transfer)
        })
        .collect();
    let keep = LimitChange::Keep;
    assert_eq!(
        told,
        [
            (EventKind::Limits, None, LimitChange::Set(Amount(70))),
            (EventKind::Freeze, Some(AccountStatus::Frozen), keep),
            (EventKind::Unfreeze, Some(AccountStatus::Open), keep),
            (EventKind::Close, Some(AccountStatus::Closed), keep),
        ]
    );
    let opened = site.state.events_after(EventCursor::Entry(0), 1).unwrap().events.remove(0);
    assert_eq!((opened.kind, opened.id), (EventKind::OpenAccount, Some(BANK.number())));
}

#[test]
fn a_hold_that_was_given_back_names_its_void() {
    let mut site = founded();
    site.committed(hold(id(2), 0, 0, 100, 60_000));
    site.committed(void(id(3), id(2)));
    let view = hold_view(&site, id(2));
    assert_eq!((view.status, view.closed_by), (HoldStatus::Voided, Some(id(3))));
    assert!(site.state.answer_query(&Query::Hold(id(3))).is_err(), "a void isn't a hold");
    assert!(site.state.answer_query(&Query::Transfer(id(2))).is_err(), "a hold isn't a movement");
    assert!(site.state.answer_query(&Query::Transfer(id(3))).is_err(), "a void isn't a movement");
}

/// A checkpoint contains an open hold; the hold is voided, more is sealed, and an index is lost
/// before the next checkpoint is written. Everything is replayed, and the next checkpoint is
/// written in full: the hold's row must be removed, although no memory of it is left.
#[test]
fn a_replay_from_nothing_leaves_no_old_rows_in_the_checkpoint() {
    let mut site = Site::new(16 << 10);
    let mut play = Play::new(21);
    play.found(&mut site);
    let held = site.id(1 << 70);
    site.committed(hold(held, 0, 0, 10, 60_000_000));
    play.entries(&mut site, 200);
    site.seal();
    let void = void(site.id(2 << 70), held);
    site.committed(void);
    for number in 0..200 {
        let id = site.id(3 << 70 | number);
        site.committed(transfer(id, TransferKind::TopUp, BANK, WALLETS[0], 1));
    }
    // Sealing has priority: no slice of a checkpoint is copied meanwhile.
    while site.journal.oldest_rolled().is_some() {
        site.turn();
    }
    site.lose_an_index();
    let mut site = site.restart();
    site.seal();
    // A checkpoint with rows that the ledger doesn't have is refused, and the site would fail.
    let site = site.restart();
    assert_eq!(hold_view(&site, held).status, HoldStatus::Voided);
    assert_eq!(page(&site, WALLETS[0], 5, None).items.len(), 5);
}

#[test]
fn keys_days_and_positions_are_answered() {
    let site = founded();
    let keys = |query| match site.state.answer_query(&query).unwrap() {
        View::Keys(keys) => keys.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(keys(Query::Keys), 1);
    assert_eq!(keys(Query::Key([9; 32])), 1);
    assert_eq!(keys(Query::Key([8; 32])), 0);
    assert_eq!(site.state.answer_query(&Query::Position).unwrap(), View::Position(site.newest()));
    assert!(site.state.answer_query(&Query::Day(super::words::first_date())).is_err());
    let nobody = AccountId::new(404);
    assert!(site.state.answer_query(&Query::Account(nobody)).is_err());
    let history = Query::History { account: nobody, limit: 1, before: None };
    assert!(site.state.answer_query(&history).is_err());
}
