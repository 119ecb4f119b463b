//! Short functions that make commands.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount, SetLimits, SetStatus},
    amount::{Amount, Asset},
    command::Command,
    day::{BusinessDate, CloseDay},
    genesis::Genesis,
    hold::{Capture, ExpireHold, Hold, Void},
    id::{AccountId, ClusterId, CommandId},
    limits::AMOUNT_MAX,
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

pub(crate) const BANK: AccountId = AccountId::new(1);
pub(crate) const ISSUER: AccountId = AccountId::new(2);
pub(crate) const FEES: AccountId = AccountId::new(3);
pub(crate) const WALLETS: [AccountId; 3] =
    [AccountId::new(10), AccountId::new(11), AccountId::new(12)];
pub(crate) const MERCHANTS: [AccountId; 2] = [AccountId::new(20), AccountId::new(21)];

pub(crate) fn krw() -> Asset {
    Asset::parse("KRW").unwrap()
}

pub(crate) fn first_date() -> BusinessDate {
    BusinessDate::new(2023, 11, 14).unwrap()
}

pub(crate) fn genesis() -> Command {
    Command::Genesis(Box::new(Genesis {
        cluster: ClusterId([7; 16]),
        assets: vec![krw(), Asset::parse("POINT").unwrap()],
        wallet_max_balance: AMOUNT_MAX,
        id_horizon_ms: 1_000_000_000,
        id_tolerance_ms: 5_000,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [9; 32],
        first_date: first_date(),
    }))
}

/// All accounts above.
pub(crate) fn openings() -> Vec<Command> {
    use AccountKind::{Bank, Fee, Issuer, Merchant, Wallet};
    let few = [(BANK, Bank), (ISSUER, Issuer), (FEES, Fee)];
    let wallets = WALLETS.map(|id| (id, Wallet));
    let all = few.into_iter().chain(wallets).chain(MERCHANTS.map(|id| (id, Merchant)));
    all.map(|(id, kind)| open(id, kind)).collect()
}

pub(crate) fn open(id: AccountId, kind: AccountKind) -> Command {
    let label = Text::new(&format!("{kind} {}", id.number())).unwrap();
    let limits = Limits::default();
    Command::OpenAccount(OpenAccount { id, kind, asset: krw(), label, limits })
}

pub(crate) fn transfer(
    id: CommandId,
    kind: TransferKind,
    debit: AccountId,
    credit: AccountId,
    amount: u64,
) -> Command {
    let (amount, asset) = (Amount(amount), krw());
    let reference = Text::new("r-1").unwrap();
    let memo = Text::new("thanks").unwrap();
    Command::Transfer(Transfer { id, debit, credit, amount, asset, kind, reference, memo })
}

pub(crate) fn refund(id: CommandId, payment: CommandId, amount: Option<u64>) -> Command {
    let memo = Text::new("sorry").unwrap();
    Command::Refund(Refund { id, payment, amount: amount.map(Amount), memo })
}

pub(crate) fn reversal(id: CommandId, transfer: CommandId) -> Command {
    Command::Reversal(Reversal { id, transfer, reason: Text::new("typo").unwrap() })
}

pub(crate) fn hold(id: CommandId, from: usize, to: usize, amount: u64, ms: u64) -> Command {
    Command::Hold(Hold {
        id,
        debit: WALLETS[from],
        credit: MERCHANTS[to],
        amount: Amount(amount),
        asset: krw(),
        expires_in_ms: ms,
        memo: Text::new("table 4").unwrap(),
    })
}

pub(crate) fn capture(id: CommandId, hold: CommandId, amount: Option<u64>) -> Command {
    Command::Capture(Capture { id, hold, amount: amount.map(Amount) })
}

pub(crate) fn void(id: CommandId, hold: CommandId) -> Command {
    Command::Void(Void { id, hold })
}

pub(crate) fn expire(hold: CommandId) -> Command {
    Command::ExpireHold(ExpireHold { hold })
}

pub(crate) fn status(id: CommandId, account: AccountId, status: AccountStatus) -> Command {
    Command::SetStatus(SetStatus { id, account, status })
}

pub(crate) fn limits(id: CommandId, account: AccountId, per_transfer: u64) -> Command {
    let per_transfer = LimitChange::Set(Amount(per_transfer));
    let limits = Limits { per_transfer, ..Limits::default() };
    Command::SetLimits(SetLimits { id, account, limits })
}

pub(crate) fn close_day(closed: BusinessDate) -> Command {
    Command::CloseDay(CloseDay { closed, next: closed.next() })
}
