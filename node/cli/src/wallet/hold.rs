//! Verbs for reserved money: hold, capture, void.

use evenkeel_wire::{amount::Amount, command::Command, hold};

use super::{CaptureArgs, HoldArgs, VoidArgs, WalletContext, id_or_new, movement::asset_of, text};
use crate::Failure;

pub(crate) async fn hold(asking: WalletContext<'_>, wanted: &HoldArgs) -> Result<(), Failure> {
    let movement = &wanted.movement;
    let memo = text(&movement.memo, "--memo")?;
    let id = id_or_new(movement.id)?;
    let hold = hold::Hold {
        id,
        debit: movement.from,
        credit: movement.to,
        amount: Amount(movement.amount),
        asset: asset_of(asking.door, movement).await?,
        expires_in_ms: wanted.expires_in,
        memo,
    };
    asking.submit(Command::Hold(hold)).await
}

pub(crate) async fn capture(
    asking: WalletContext<'_>,
    wanted: &CaptureArgs,
) -> Result<(), Failure> {
    let id = id_or_new(wanted.id)?;
    let amount = wanted.amount.map(Amount);
    asking.submit(Command::Capture(hold::Capture { id, hold: wanted.hold, amount })).await
}

pub(crate) async fn void(asking: WalletContext<'_>, wanted: &VoidArgs) -> Result<(), Failure> {
    let id = id_or_new(wanted.id)?;
    asking.submit(Command::Void(hold::Void { id, hold: wanted.hold })).await
}
