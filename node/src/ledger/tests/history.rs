//! Histories at random: a small world in which every rule is broken now and then.

use std::sync::Arc;

use evenkeel_wire::{
    account::AccountKind,
    command::Command,
    genesis::Genesis,
    id::AccountId,
    transfer::{Text, TransferKind},
};
use proptest::prelude::*;

use super::world::*;

pub(super) const WALLET_MAX: u64 = 120;
const ACCOUNTS: u8 = 12;
const IDS: u8 = 48;

/// What happens, in order.
#[derive(Clone, Debug)]
pub(super) struct History(pub(super) Arc<Vec<Happening>>);

#[derive(Clone, Debug)]
pub(super) enum Happening {
    Entry { time: u64, commands: Vec<Command> },
    Pass { time: u64 },
}

impl World {
    pub(super) fn live(&mut self, happening: &Happening) -> Vec<evenkeel_wire::outcome::Answer> {
        match happening {
            Happening::Entry { time, commands } => self.entry(*time, commands),
            Happening::Pass { time } => {
                self.pass(*time);
                Vec::new()
            }
        }
    }
}

/// A founded history.
pub(super) fn histories() -> impl Strategy<Value = History> {
    let step = (0..8_u8, 0..30_000_000_u64, proptest::collection::vec(any_command(), 0..7));
    proptest::collection::vec(step, 1..24).prop_map(|steps| {
        let genesis = Genesis { wallet_max_balance: WALLET_MAX, ..genesis() };
        let mut commands = vec![Command::Genesis(Box::new(genesis))];
        commands.extend((0..ACCOUNTS - 2).map(|number| opening(number, 0)));
        let mut time = T0;
        let mut all = vec![Happening::Pass { time: 0 }, Happening::Entry { time, commands }];
        for (what, micros, commands) in steps {
            // Most entries come soon, some much later, some with an older stamp.
            time += if what < 6 { micros / 30 } else { micros };
            let stamped = if what == 0 { time - micros / 60 } else { time };
            all.push(if what == 1 {
                Happening::Pass { time: stamped }
            } else {
                Happening::Entry { time: stamped, commands }
            });
        }
        History(Arc::new(all))
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        12 => (0..IDS, 0..10_u8).prop_map(|(number, twist)| movement(number, twist)),
        6 => (any::<u64>(), 0..ACCOUNTS, 0..ACCOUNTS, 1..8_u8, 0..200_u64).prop_map(
            |(number, debit, credit, kind, amount)| {
                let kind = TransferKind::from_byte(kind).unwrap();
                let id = id(i64::from(number.to_le_bytes()[0]) * 100, u128::from(number));
                transfer(id, kind, (account_of(debit), account_of(credit)), amount, "KRW")
            }
        ),
        2 => (0..ACCOUNTS, 0..4_u8).prop_map(|(number, twist)| opening(number, twist)),
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
    open(account_of(number), kind_of(number), asset, label)
}

/// What an id moves; a rare twist gives it other content.
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
    let id = id(i64::from(number % 5) * 9_000 - 9_000, u128::from(number));
    let parties = (account_of(debit), account_of(credit));
    let mut command = transfer(id, kind, parties, amount + u64::from(twist == 9), asset);
    if let Command::Transfer(transfer) = &mut command
        && twist == 8
    {
        transfer.memo = Text::new("twisted").unwrap();
    }
    command
}
