//! A shop with a customer who has paid, and short constructors of later commands.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, SetLimits, SetStatus},
    amount::Amount,
    command::Command,
    day::{BusinessDate, CloseDay},
    hold::{Capture, Hold, Void},
    id::AccountId,
    outcome::Rejection,
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, TransferKind},
};

use super::world::*;

pub(crate) const BANK: AccountId = account(1);
pub(crate) const WALLET: AccountId = account(2);
pub(crate) const MERCHANT: AccountId = account(3);
pub(crate) const FEE: AccountId = account(4);
pub(crate) const ISSUER: AccountId = account(5);

/// The ids of earlier commands: the customer topped up 1,000 and paid 100.
pub(crate) const TOP_UP: u128 = 1;
pub(crate) const PAYMENT: u128 = 2;

/// The ids in a test: they expire after more than a few seconds.
pub(crate) fn shop() -> World {
    let mut world = World::bootstrapped();
    for (account, kind) in [
        (BANK, AccountKind::Bank),
        (WALLET, AccountKind::Wallet),
        (MERCHANT, AccountKind::Merchant),
        (FEE, AccountKind::Fee),
        (ISSUER, AccountKind::Issuer),
    ] {
        world.open(account, kind, "KRW");
    }
    world.commit(&moves(TOP_UP, TransferKind::TopUp, (BANK, WALLET), 1_000));
    world.commit(&moves(PAYMENT, TransferKind::Payment, (WALLET, MERCHANT), 100));
    world
}

impl World {
    /// Commits a new command in an entry of its own; gives the amount of its outcome.
    pub(crate) fn commit(&mut self, command: &Command) -> u64 {
        let answer = self.one(T0, command);
        assert_eq!(code(&answer), None, "{command:?}");
        answer.outcome.amount
    }

    /// The code of a new command in an entry of its own.
    pub(crate) fn code_of(&mut self, command: &Command) -> Option<Rejection> {
        code(&self.one(T0, command))
    }

    /// Decides commands as one atomic group.
    pub(crate) fn atomic(&mut self, commands: &[Command]) -> Vec<Option<Rejection>> {
        let answers = self.together(T0, commands);
        answers.iter().map(code).collect()
    }

    /// Seals all entries so far, and forgets all ids in memory.
    pub(crate) fn seal(&mut self) {
        self.journal.sealed_through = self.ledger.position();
        self.forget_everything();
    }
}

pub(crate) fn moves(
    number: u128,
    kind: TransferKind,
    parties: (AccountId, AccountId),
    amount: u64,
) -> Command {
    transfer(id(0, number), kind, parties, amount, "KRW")
}

pub(crate) fn refund(number: u128, payment: u128, amount: impl Into<Option<u64>>) -> Command {
    let amount = amount.into().map(Amount);
    let payment = id(0, payment);
    Command::Refund(Refund { id: id(0, number), payment, amount, memo: Text::default() })
}

pub(crate) fn reversal(number: u128, transfer: u128) -> Command {
    let reason = Text::new("typo").unwrap();
    Command::Reversal(Reversal { id: id(0, number), transfer: id(0, transfer), reason })
}

pub(crate) fn hold(number: u128, amount: u64) -> Command {
    Command::Hold(Hold {
        id: id(0, number),
        debit: WALLET,
        credit: MERCHANT,
        amount: Amount(amount),
        asset: asset("KRW"),
        expires_in_ms: 1_000,
        memo: Text::default(),
    })
}

pub(crate) fn capture(number: u128, hold: u128, amount: impl Into<Option<u64>>) -> Command {
    let amount = amount.into().map(Amount);
    Command::Capture(Capture { id: id(0, number), hold: id(0, hold), amount })
}

pub(crate) fn void(number: u128, hold: u128) -> Command {
    Command::Void(Void { id: id(0, number), hold: id(0, hold) })
}

pub(crate) fn becomes(number: u128, account: AccountId, status: AccountStatus) -> Command {
    Command::SetStatus(SetStatus { id: id(0, number), account, status })
}

pub(crate) fn may_hold(number: u128, account: AccountId, max_balance: LimitChange) -> Command {
    let limits = Limits { max_balance, ..Limits::default() };
    Command::SetLimits(SetLimits { id: id(0, number), account, limits })
}

pub(crate) fn close(closed: &str, next: &str) -> Command {
    let date = |text| BusinessDate::parse(text).unwrap();
    Command::CloseDay(CloseDay { closed: date(closed), next: date(next) })
}
