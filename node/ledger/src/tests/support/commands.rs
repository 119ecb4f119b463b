//! Short constructors of commands.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount, SetLimits, SetStatus},
    amount::Amount,
    command::Command,
    hold::{Capture, ExpireHold, Hold, Void},
    id::{AccountId, CommandId},
    transfer::Text,
};

use super::world::asset;

pub(crate) fn open_limited(
    id: AccountId,
    kind: AccountKind,
    asset_name: &str,
    limits: Limits,
) -> Command {
    let label = Text::default();
    Command::OpenAccount(OpenAccount { id, kind, asset: asset(asset_name), label, limits })
}

/// Limits in the order of the fields; `None`: unchanged.
pub(crate) fn limits(
    max_balance: Option<u64>,
    per_transfer: Option<u64>,
    daily_debit: Option<u64>,
) -> Limits {
    let change = |limit: Option<u64>| {
        limit.map_or(LimitChange::Keep, |limit| LimitChange::Set(Amount(limit)))
    };
    Limits {
        max_balance: change(max_balance),
        per_transfer: change(per_transfer),
        daily_debit: change(daily_debit),
    }
}

pub(crate) fn set_limits(id: CommandId, account: AccountId, limits: Limits) -> Command {
    Command::SetLimits(SetLimits { id, account, limits })
}

pub(crate) fn set_status(id: CommandId, account: AccountId, status: AccountStatus) -> Command {
    Command::SetStatus(SetStatus { id, account, status })
}

/// A hold in KRW.
pub(crate) fn hold(
    id: CommandId,
    (debit, credit): (AccountId, AccountId),
    amount: u64,
    expires_in_ms: u64,
) -> Command {
    Command::Hold(Hold {
        id,
        debit,
        credit,
        amount: Amount(amount),
        asset: asset("KRW"),
        expires_in_ms,
        memo: Text::default(),
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
