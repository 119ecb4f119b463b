//! Accounts with money, and short ways to write commands.

use evenkeel_wire::{
    account::{
        AccountKind::{self, Bank, Fee, Issuer, Merchant, Wallet},
        AccountStatus, LimitChange, Limits, OpenAccount, SetLimits, SetStatus,
    },
    amount::{Amount, Asset},
    codec,
    command::Command,
    day::BusinessDate,
    entry::EntryBuilder,
    genesis::Genesis,
    hold::{Capture, Hold, Void},
    id::{AccountId, ClusterId, CommandId, KeyId},
    limits::AMOUNT_MAX,
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

use crate::model::{Decision, Model, Moment};

pub(crate) const BANK: AccountId = AccountId::new(1);
pub(crate) const ISSUER: AccountId = AccountId::new(2);
pub(crate) const FEE: AccountId = AccountId::new(3);
pub(crate) const SHOP: AccountId = AccountId::new(4);
pub(crate) const RICH: AccountId = AccountId::new(5);
pub(crate) const POOR: AccountId = AccountId::new(6);
pub(crate) const CLOSED: AccountId = AccountId::new(7);
pub(crate) const CLOSED_SHOP: AccountId = AccountId::new(8);
pub(crate) const FROZEN: AccountId = AccountId::new(9);
/// At most 50 at once and 60 a day; has paid 20 today and has 480.
pub(crate) const TIGHT: AccountId = AccountId::new(10);
/// May hold 10.
pub(crate) const SMALL_SHOP: AccountId = AccountId::new(11);
/// Owes the largest balance.
pub(crate) const FLOOR_BANK: AccountId = AccountId::new(12);
/// Has the largest balance.
pub(crate) const FULL_SHOP: AccountId = AccountId::new(13);
pub(crate) const POINT_WALLET: AccountId = AccountId::new(14);
pub(crate) const NOBODY: AccountId = AccountId::new(99);

/// When everything is decided, unless a test says otherwise: milliseconds, and microseconds.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
pub(crate) const NOW: u64 = NOW_MS * 1_000;
pub(crate) const HORIZON_MS: u64 = 1_000_000;
pub(crate) const TOLERANCE_MS: u64 = 5_000;
pub(crate) const HOLD_MS: u64 = 60_000;
/// What RICH begins with.
pub(crate) const RICH_HAS: i64 = 100_000;

pub(crate) fn asset(name: &str) -> Asset {
    Asset::parse(name).unwrap()
}

pub(crate) fn id(number: u128) -> CommandId {
    CommandId::from_parts(NOW_MS, number)
}

pub(crate) fn genesis() -> Command {
    Command::Genesis(Box::new(Genesis {
        cluster: ClusterId([1; 16]),
        assets: vec![asset("KRW"), asset("POINT")],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: HORIZON_MS,
        id_tolerance_ms: TOLERANCE_MS,
        time_zone: Text::new("Asia/Seoul").unwrap(),
        operator_key: [2; 32],
        first_date: BusinessDate::FIRST,
    }))
}

pub(crate) fn open_with(id: AccountId, kind: AccountKind, name: &str, limits: Limits) -> Command {
    let (asset, label) = (asset(name), Text::default());
    Command::OpenAccount(OpenAccount { id, kind, asset, label, limits })
}

pub(crate) fn open(id: AccountId, kind: AccountKind) -> Command {
    open_with(id, kind, "KRW", Limits::default())
}

/// `None` keeps a limit.
pub(crate) fn limits(max: Option<u64>, once: Option<u64>, day: Option<u64>) -> Limits {
    let change = |limit: Option<u64>| {
        limit.map_or(LimitChange::Keep, |limit| LimitChange::Set(Amount(limit)))
    };
    Limits { max_balance: change(max), per_transfer: change(once), daily_debit: change(day) }
}

pub(crate) fn transfer(
    number: u128,
    kind: TransferKind,
    (debit, credit): (AccountId, AccountId),
    amount: u64,
) -> Command {
    transfer_of("KRW", id(number), kind, (debit, credit), amount)
}

pub(crate) fn transfer_of(
    name: &str,
    id: CommandId,
    kind: TransferKind,
    (debit, credit): (AccountId, AccountId),
    amount: u64,
) -> Command {
    let (amount, asset) = (Amount(amount), asset(name));
    let (reference, memo) = (Text::default(), Text::default());
    Command::Transfer(Transfer { id, debit, credit, amount, asset, kind, reference, memo })
}

pub(crate) fn top_up(number: u128, wallet: AccountId, amount: u64) -> Command {
    transfer(number, TransferKind::TopUp, (BANK, wallet), amount)
}

pub(crate) fn pay(number: u128, wallet: AccountId, shop: AccountId, amount: u64) -> Command {
    transfer(number, TransferKind::Payment, (wallet, shop), amount)
}

pub(crate) fn hold(number: u128, wallet: AccountId, shop: AccountId, amount: u64) -> Command {
    Command::Hold(Hold {
        id: id(number),
        debit: wallet,
        credit: shop,
        amount: Amount(amount),
        asset: asset("KRW"),
        expires_in_ms: HOLD_MS,
        memo: Text::default(),
    })
}

pub(crate) fn capture(number: u128, hold: u128, amount: Option<u64>) -> Command {
    let amount = amount.map(Amount);
    Command::Capture(Capture { id: id(number), hold: id(hold), amount })
}

pub(crate) fn void(number: u128, hold: u128) -> Command {
    Command::Void(Void { id: id(number), hold: id(hold) })
}

pub(crate) fn refund(number: u128, payment: u128, amount: Option<u64>) -> Command {
    let (amount, memo) = (amount.map(Amount), Text::default());
    Command::Refund(Refund { id: id(number), payment: id(payment), amount, memo })
}

pub(crate) fn reverse(number: u128, transfer: u128) -> Command {
    let reason = Text::default();
    Command::Reversal(Reversal { id: id(number), transfer: id(transfer), reason })
}

pub(crate) fn set_status(number: u128, account: AccountId, status: AccountStatus) -> Command {
    Command::SetStatus(SetStatus { id: id(number), account, status })
}

pub(crate) fn set_limits(number: u128, account: AccountId, limits: Limits) -> Command {
    Command::SetLimits(SetLimits { id: id(number), account, limits })
}

/// Genesis, the accounts and their money.
pub(crate) fn beginning() -> Vec<Command> {
    let none = Limits { max_balance: LimitChange::Clear, ..Limits::default() };
    let mut all = vec![genesis()];
    all.extend([BANK, FLOOR_BANK].map(|id| open(id, Bank)));
    all.extend([RICH, POOR, CLOSED, FROZEN, TIGHT].map(|id| open(id, Wallet)));
    all.extend([SHOP, CLOSED_SHOP, FULL_SHOP].map(|id| open(id, Merchant)));
    all.extend([
        open(FEE, Fee),
        open_with(ISSUER, Issuer, "POINT", Limits::default()),
        open_with(POINT_WALLET, Wallet, "POINT", Limits::default()),
        open_with(SMALL_SHOP, Merchant, "KRW", limits(Some(10), None, None)),
        // A wallet that fills the full shop.
        open_with(AccountId::new(20), Wallet, "KRW", none),
        transfer(1, TransferKind::TopUp, (FLOOR_BANK, AccountId::new(20)), AMOUNT_MAX),
        pay(2, AccountId::new(20), FULL_SHOP, AMOUNT_MAX),
        top_up(3, RICH, RICH_HAS.unsigned_abs()),
        top_up(4, FROZEN, 1_000),
        top_up(5, TIGHT, 500),
        pay(6, TIGHT, SHOP, 20),
        pay(7, FROZEN, SHOP, 100),
        hold(8, FROZEN, SHOP, 100),
        set_status(9, CLOSED, AccountStatus::Closed),
        set_status(10, CLOSED_SHOP, AccountStatus::Closed),
        set_status(11, FROZEN, AccountStatus::Frozen),
        set_limits(12, TIGHT, limits(None, Some(50), Some(60))),
    ]);
    all
}

/// Where the next command of a model that follows `beginning` is decided.
pub(crate) const NEXT: Moment = Moment { position: 1_000, index: 0, time: NOW };

/// The model after `beginning`, one command an entry.
pub(crate) fn begun() -> Model {
    let mut model = Model::default();
    for (command, position) in beginning().iter().zip(0..) {
        commit(&mut model, Moment { position, index: 0, time: NOW }, command);
    }
    model
}

pub(crate) fn commit(model: &mut Model, at: Moment, command: &Command) -> Decision {
    let decision = model.apply(at, command).unwrap();
    assert_eq!(decision.outcome.rejection, None, "{command:?}");
    decision
}

/// An entry's body: groups, and whether each is atomic.
pub(crate) fn entry(groups: &[(bool, Vec<Command>)]) -> Vec<u8> {
    let mut builder = EntryBuilder::new();
    for (atomic, commands) in groups {
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        builder.push(KeyId(1), *atomic, u32::try_from(commands.len()).unwrap(), &bytes);
    }
    builder.finish()
}
