//! One of every command, and the largest form of each.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount, SetLimits, SetStatus},
    amount::{Amount, Asset},
    command::Command,
    day::{BusinessDate, CloseDay},
    genesis::Genesis,
    hold::{Capture, ExpireHold, Hold, Void},
    id::{AccountId, ClusterId, CommandId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    limits::{LABEL_BYTES_MAX, MEMO_BYTES_MAX, REFERENCE_BYTES_MAX},
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

fn id(last: u128) -> CommandId {
    let base = CommandId::parse("0190163d-8694-739b-aea5-966c26f8ad00").unwrap();
    CommandId::new(base.number() + last).unwrap()
}

fn asset(name: &str) -> Asset {
    Asset::parse(name).unwrap()
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

pub(crate) fn transfer() -> Transfer {
    Transfer {
        id: id(0x91),
        debit: AccountId::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap(),
        credit: AccountId::parse("f0e1d2c3-b4a5-9687-7869-5a4b3c2d1e0f").unwrap(),
        amount: Amount(12_500),
        asset: asset("KRW"),
        kind: TransferKind::Payment,
        reference: text("order-7"),
        memo: text("커피 두 잔"),
    }
}

pub(crate) fn open_account() -> OpenAccount {
    OpenAccount {
        id: AccountId::new(5),
        kind: AccountKind::Wallet,
        asset: asset("POINT"),
        label: text("지은"),
        limits: Limits {
            max_balance: LimitChange::Set(Amount(500_000)),
            per_transfer: LimitChange::Keep,
            daily_debit: LimitChange::Clear,
        },
    }
}

fn genesis() -> Genesis {
    Genesis {
        cluster: ClusterId([0x11; 16]),
        assets: vec![asset("KRW"), asset("POINT")],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 604_800_000,
        id_tolerance_ms: 300_000,
        time_zone: text("Asia/Seoul"),
        operator_key: [0x22; 32],
        first_date: BusinessDate::new(2026, 11, 26).unwrap(),
    }
}

pub(crate) fn hold() -> Hold {
    let Transfer { debit, credit, asset, memo, .. } = transfer();
    let (id, amount) = (id(0x92), Amount(30_000));
    Hold { id, debit, credit, amount, asset, expires_in_ms: 600_000, memo }
}

/// All of them, by name, in the order of their numbers.
pub(crate) fn all() -> Vec<(&'static str, Command)> {
    let payment = transfer().id;
    let hold = hold();
    let limits = Limits {
        max_balance: LimitChange::Keep,
        per_transfer: LimitChange::Set(Amount(100_000)),
        daily_debit: LimitChange::Clear,
    };
    let account = AccountId::new(5);
    let capture = Capture { id: id(0x93), hold: hold.id, amount: Some(Amount(29_000)) };
    let refund = Refund { id: id(0x95), payment, amount: None, memo: text("식었어요") };
    let reversal =
        Reversal { id: id(0x96), transfer: id(0x90), reason: text("두 번 들어갔음") };
    let key =
        CreateKey { hash: [0x77; 32], role: Role::Merchant, account: Some(transfer().credit) };
    let (closed, next) =
        (BusinessDate::new(2026, 12, 31).unwrap(), BusinessDate::new(2027, 1, 1).unwrap());
    vec![
        ("genesis", Command::Genesis(Box::new(genesis()))),
        ("open_account", Command::OpenAccount(open_account())),
        ("transfer", Command::Transfer(transfer())),
        ("refund", Command::Refund(refund)),
        ("reversal", Command::Reversal(reversal)),
        ("hold", Command::Hold(hold.clone())),
        ("capture", Command::Capture(capture)),
        ("void", Command::Void(Void { id: id(0x94), hold: hold.id })),
        (
            "set_status",
            Command::SetStatus(SetStatus { id: id(0x97), account, status: AccountStatus::Frozen }),
        ),
        ("set_limits", Command::SetLimits(SetLimits { id: id(0x98), account, limits })),
        ("expire_hold", Command::ExpireHold(ExpireHold { hold: hold.id })),
        ("close_day", Command::CloseDay(CloseDay { closed, next })),
        ("create_key", Command::CreateKey(key)),
        ("revoke_key", Command::RevokeKey(RevokeKey { key: KeyId(7) })),
    ]
}

/// The same with every text at its limit, and every optional field present. The genesis, which is
/// alone in its entry, isn't included.
pub(crate) fn largest() -> Vec<(&'static str, Command)> {
    let amount = Amount(u64::MAX);
    let set = LimitChange::Set(amount);
    let limits = Limits { max_balance: set, per_transfer: set, daily_debit: set };
    let memo: Text<MEMO_BYTES_MAX> = text(&"m".repeat(MEMO_BYTES_MAX));
    let reference = text(&"r".repeat(REFERENCE_BYTES_MAX));
    let label = text(&"l".repeat(LABEL_BYTES_MAX));
    let largest = |command| match command {
        Command::Genesis(_) => None,
        Command::OpenAccount(open) => {
            Some(Command::OpenAccount(OpenAccount { label: label.clone(), limits, ..open }))
        }
        Command::Transfer(transfer) => Some(Command::Transfer(Transfer {
            reference: reference.clone(),
            memo: memo.clone(),
            ..transfer
        })),
        Command::Refund(refund) => {
            Some(Command::Refund(Refund { amount: Some(amount), memo: memo.clone(), ..refund }))
        }
        Command::Reversal(reversal) => {
            Some(Command::Reversal(Reversal { reason: memo.clone(), ..reversal }))
        }
        Command::Hold(hold) => Some(Command::Hold(Hold { memo: memo.clone(), ..hold })),
        Command::Capture(capture) => {
            Some(Command::Capture(Capture { amount: Some(amount), ..capture }))
        }
        Command::SetLimits(change) => Some(Command::SetLimits(SetLimits { limits, ..change })),
        // These have one size.
        Command::Void(_)
        | Command::SetStatus(_)
        | Command::ExpireHold(_)
        | Command::CloseDay(_)
        | Command::CreateKey(_)
        | Command::RevokeKey(_) => Some(command),
    };
    all().into_iter().filter_map(|(name, command)| Some((name, largest(command)?))).collect()
}
