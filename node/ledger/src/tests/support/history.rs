//! Random histories of a small ledger that break every rule now and then.

use std::{collections::BTreeMap, sync::Arc};

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount},
    amount::Amount,
    command::Command,
    day::CloseDay,
    genesis::Genesis,
    id::{AccountId, CommandId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    outcome::{Outcome, Rejection},
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, TransferKind},
};
use proptest::prelude::*;

use super::{commands::*, world::*};

pub(crate) const WALLET_MAX: u64 = 120;
const ACCOUNTS: u8 = 12;
const IDS: u8 = 48;

/// The events in order.
#[derive(Clone, Debug)]
pub(crate) struct History(pub(crate) Arc<Vec<Event>>);

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Groups: whether each is atomic, and its commands.
    Entry {
        time: u64,
        groups: Vec<(bool, Vec<Command>)>,
    },
    Pass {
        time: u64,
    },
}

impl World {
    pub(crate) fn apply_event(&mut self, event: &Event) -> Vec<evenkeel_wire::outcome::Answer> {
        match event {
            Event::Entry { time, groups } => self.try_body(*time, body_of(groups)).unwrap().1,
            Event::Pass { time } => {
                self.pass(*time);
                Vec::new()
            }
        }
    }
}

/// A history that begins with genesis.
pub(crate) fn histories() -> impl Strategy<Value = History> {
    let step = (0..8_u8, 0..30_000_000_u64, groups());
    proptest::collection::vec(step, 1..24).prop_map(|steps| {
        let genesis = Genesis { wallet_max_balance: WALLET_MAX, ..genesis() };
        let mut commands = vec![Command::Genesis(Box::new(genesis))];
        commands.extend((0..ACCOUNTS - 2).map(|number| opening(number, 0)));
        let mut time = T0;
        let mut date = self::genesis().first_date;
        let founding = Event::Entry { time, groups: vec![(false, commands)] };
        let mut all = vec![Event::Pass { time: 0 }, founding, beginnings(time)];
        for (what, micros, groups) in steps {
            // Most entries come soon after the last, some much later, some with an older stamp.
            time += if what < 6 { micros / 30 } else { micros };
            let stamped = if what == 0 { time - micros / 60 } else { time };
            all.push(match what {
                1 => Event::Pass { time: stamped },
                // A day's marker is alone; a late one is rejected.
                2 if micros % 3 == 0 => {
                    let closed = if micros % 5 == 0 { date.next() } else { date };
                    let next = if micros % 2 == 0 { closed.next() } else { closed.next().next() };
                    date = if closed == date { next } else { date };
                    let marker = Command::CloseDay(CloseDay { closed, next });
                    Event::Entry { time: stamped, groups: vec![(false, vec![marker])] }
                }
                _ => Event::Entry { time: stamped, groups },
            });
        }
        History(Arc::new(all))
    })
}

/// The wallets get money, some of it is held and some is paid.
fn beginnings(time: u64) -> Event {
    let top_up = |number: u8| {
        let parties = (account_of(0), account_of([1, 2, 3, 10][usize::from(number)]));
        transfer(id_of(7, number), TransferKind::TopUp, parties, 110, "KRW")
    };
    let mut commands: Vec<_> = (0..4).map(top_up).collect();
    commands.push(opening(10, 0));
    commands.push(top_up(3));
    commands.extend([4, 5, 16].map(|number| movement(number, 0)));
    commands.extend((1..8).map(|number| holding(number, 0)));
    Event::Entry { time, groups: vec![(false, commands)] }
}

/// Most groups have one command; of the others half are atomic.
fn groups() -> impl Strategy<Value = Vec<(bool, Vec<Command>)>> {
    let group = prop_oneof![
        6 => any_command().prop_map(|command| (false, vec![command])),
        2 => (any::<bool>(), proptest::collection::vec(any_command(), 0..5)),
    ];
    proptest::collection::vec(group, 0..10)
}

pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        10 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| movement(number, twist)),
        3 => (any::<u64>(), 0..ACCOUNTS, 0..ACCOUNTS, 1..8_u8, 0..200_u64).prop_map(
            |(number, debit, credit, kind, amount)| {
                let kind = TransferKind::from_byte(kind).unwrap();
                let id = id(i64::from(number.to_le_bytes()[0]) * 100, u128::from(number));
                transfer(id, kind, (account_of(debit), account_of(credit)), amount, "KRW")
            }
        ),
        2 => (0..ACCOUNTS, 0..6_u8).prop_map(|(number, twist)| opening(number, twist)),
        8 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| holding(number, twist)),
        10 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| closing(number, twist)),
        2 => (0..IDS).prop_map(|number| expire(hold_id(number))),
        2 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| of_status(number, twist)),
        3 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| of_limits(number, twist)),
        8 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| refunding(number, twist)),
        4 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| reversing(number, twist)),
        2 => (0..6_u8, 0..10_u8).prop_map(|(number, twist)| of_keys(number, twist)),
        1 => (1..3_u64).prop_map(|twist| {
            let wallet_max_balance = WALLET_MAX * twist;
            Command::Genesis(Box::new(Genesis { wallet_max_balance, ..genesis() }))
        }),
    ]
}

fn account_of(number: u8) -> AccountId {
    account(1_000 + u128::from(number))
}

fn kind_of(number: u8) -> AccountKind {
    use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
    [Bank, Wallet, Wallet, Wallet, Merchant, Issuer, Wallet, Fee, Bank, Merchant, Wallet, Wallet]
        [usize::from(number)]
}

fn opening(number: u8, twist: u8) -> Command {
    let asset = match (number, twist) {
        (5 | 6, _) => "POINT",
        (_, 1) => "EUR",
        _ => "KRW",
    };
    let label = if twist == 2 { "twisted" } else { "" };
    // Some accounts are always opened with limits.
    let limits = match (number, twist) {
        (3 | 9, 3) | (_, 4) => limits(Some(77), None, None),
        (_, 5) => limits(Some(1 << 53), None, None),
        (3, _) => limits(None, Some(30), Some(60)),
        (9, _) => limits(Some(50), None, None),
        _ => Limits::default(),
    };
    Command::OpenAccount(OpenAccount {
        id: account_of(number),
        kind: kind_of(number),
        asset: self::asset(asset),
        label: Text::new(label).unwrap(),
        limits,
    })
}

/// A transfer that is always rejected.
pub(crate) fn top_up_of_nobody() -> Command {
    let parties = (account_of(0), account(7));
    transfer(id(0, 77_777), TransferKind::TopUp, parties, 0, "KRW")
}

fn id_of(class: u128, number: u8) -> CommandId {
    let after_ms = [-9_000, 0, 0, 3_000, 9_000][usize::from(number % 5)];
    id(after_ms, class * 1_000 + u128::from(number))
}

fn hold_id(number: u8) -> CommandId {
    id_of(1, number % 16)
}

/// Sixteen holds of wallets with money for merchants; a rare twist gives them other content.
fn holding(number: u8, twist: u8) -> Command {
    let number = number % 16;
    let wallet = [1, 2, 3, 10][usize::from(number % 4)];
    let merchant = [4, 9][usize::from(number / 8)];
    let (debit, credit) = match twist {
        9 => (merchant, wallet),
        8 => (6, merchant),
        _ => (wallet, merchant),
    };
    let parties = (account_of(debit), account_of(credit));
    let amount = u64::from(number % 7) * 6 + u64::from(twist == 7);
    hold(hold_id(number), parties, amount, u64::from(number % 6) * 4_000)
}

/// Captures and voids of those holds.
fn closing(number: u8, twist: u8) -> Command {
    let id = id_of(2, number);
    let hold = if twist == 9 { id_of(0, number) } else { hold_id(number % 9) };
    match (number / 16, twist) {
        (0, _) => capture(id, hold, None),
        (1, 8) => capture(id, hold, Some(0)),
        (1, _) => capture(id, hold, Some(u64::from(number % 7) * 5)),
        _ => void(id, hold),
    }
}

/// Refunds of payments and captures, and of other commands.
fn refunding(number: u8, twist: u8) -> Command {
    let payment = match number % 4 {
        // The fifth and the sixth movement of a dozen are payments.
        0 | 1 => movement_id(4 + number % 2 + 12 * (number % 3)),
        2 => movement_id(number),
        _ => id_of(2, number % 32),
    };
    let amount = (twist < 6).then_some(Amount(u64::from(number % 7) * 4 + u64::from(twist == 5)));
    Command::Refund(Refund { id: id_of(5, number), payment, amount, memo: Text::default() })
}

/// Reversals of movements of all kinds, including irreversible ones.
fn reversing(number: u8, twist: u8) -> Command {
    let transfer = match number % 4 {
        0 => id_of(1 + u128::from(number % 6), number),
        1 => movement_id(number),
        _ => id_of(7, number % 4),
    };
    let reason = Text::new(if twist == 9 { "typo" } else { "mistake" }).unwrap();
    Command::Reversal(Reversal { id: id_of(6, number), transfer, reason })
}

fn of_keys(number: u8, twist: u8) -> Command {
    match twist {
        0..3 => Command::RevokeKey(RevokeKey { key: KeyId(u32::from(number)) }),
        _ => {
            let role = if number.is_multiple_of(2) { Role::Merchant } else { Role::Teller };
            let account =
                (number.is_multiple_of(2) || twist == 9).then(|| account_of(4 + twist % 2));
            Command::CreateKey(CreateKey { hash: [number; 32], role, account })
        }
    }
}

fn of_status(number: u8, twist: u8) -> Command {
    use AccountStatus::{Closed, Frozen, Open};
    let status = if twist == 9 { Closed } else { [Frozen, Open, Open][usize::from(number % 3)] };
    set_status(id_of(3, number), account_of(number % 13), status)
}

fn of_limits(number: u8, twist: u8) -> Command {
    let some = |set: bool| set.then_some(u64::from(number) * 4);
    let mut limits = limits(some(twist == 1), some(twist < 4), some(number.is_multiple_of(2)));
    if twist > 6 {
        limits.max_balance = LimitChange::Clear;
        limits.daily_debit = LimitChange::Clear;
    }
    if twist == 4 {
        limits.per_transfer = LimitChange::Set(Amount(1 << 53));
    }
    set_limits(id_of(4, number), account_of(number % 13), limits)
}

fn movement_id(number: u8) -> CommandId {
    id_of(0, number)
}

/// The movement with an id; a rare twist gives it other content.
fn movement(number: u8, twist: u8) -> Command {
    use TransferKind::{CashOut, Fee, Grant, Payment, TopUp, Transfer};
    let (kind, debit, credit, asset) = [
        (TopUp, 0, 1, "KRW"),
        (TopUp, 8, 2, "KRW"),
        (Transfer, 1, 2, "KRW"),
        (Transfer, 2, 3, "KRW"),
        (Payment, 3, 4, "KRW"),
        (Payment, 1, 9, "KRW"),
        (CashOut, 4, 0, "KRW"),
        (Fee, 4, 7, "KRW"),
        (Grant, 5, 6, "POINT"),
        (TopUp, 0, 10, "KRW"),
        (Transfer, 10, 11, "KRW"),
        (CashOut, 2, 8, "KRW"),
    ][usize::from(number % 12)];
    let amount = u64::from(number % 7) * 9;
    let id = movement_id(number);
    let parties = (account_of(debit), account_of(credit));
    let mut command = transfer(id, kind, parties, amount + u64::from(twist == 9), asset);
    if let Command::Transfer(transfer) = &mut command
        && twist == 8
    {
        transfer.memo = Text::new("twisted").unwrap();
    }
    command
}

/// What never occurs in a history isn't tested by it.
#[test]
fn histories_commit_every_command_and_break_every_rule() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::<String, usize>::new();
    for _ in 0..300 {
        let history = histories().new_tree(&mut runner).unwrap().current();
        let mut world = World::empty();
        for event in history.0.iter() {
            let answers = world.apply_event(event);
            let Event::Entry { groups, .. } = event else { continue };
            let commands = groups.iter().flat_map(|(_, commands)| commands);
            for (command, answer) in commands.zip(&answers) {
                let name = format!("{command:?}");
                let name = name.split('(').next().unwrap_or_default();
                let is_outcome = answer.outcome.index != Outcome::NO_INDEX;
                let what = match answer.outcome.rejection {
                    _ if answer.first.is_some() => "replayed",
                    None if is_outcome => "committed",
                    None => "passed",
                    Some(rejection) => rejection.name(),
                };
                *met.entry(format!("{name} {what}")).or_default() += 1;
                *met.entry(what.to_owned()).or_default() += 1;
            }
        }
    }
    for name in [
        "Transfer",
        "Refund",
        "Reversal",
        "Hold",
        "Capture",
        "Void",
        "SetStatus",
        "SetLimits",
        "OpenAccount",
        "ExpireHold",
        "CloseDay",
        "CreateKey",
        "RevokeKey",
        "Genesis",
    ] {
        assert!(met.contains_key(&format!("{name} committed")), "no {name} in {met:#?}");
    }
    for rejection in Rejection::ALL {
        // There are too many amounts of 2^53 and too many keys needed for these.
        if ["overflow", "too_many_keys"].contains(&rejection.name()) {
            continue;
        }
        assert!(met.contains_key(rejection.name()), "no {rejection} in {met:#?}");
    }
    for what in ["ExpireHold passed", "Refund replayed", "Capture replayed", "Hold replayed"] {
        assert!(met.contains_key(what), "no {what} in {met:#?}");
    }
}
