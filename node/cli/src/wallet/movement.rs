//! Verbs that open an account or move money immediately.

use evenkeel_wire::{
    account::{Limits, OpenAccount},
    amount::{Amount, Asset},
    client::ClientError,
    command::Command,
    id::AccountId,
    refund,
    reply::RefusalCode,
    transfer::{Text, Transfer, TransferKind},
};

use super::{MovementArgs, OpenArgs, RefundArgs, WalletContext, announce, id_or_new, random, text};
use crate::{
    Failure,
    door::{Door, ReadSource, no_answer},
};

/// The asset to send when none is given and the account doesn't exist: the ledger then rejects the
/// command and says which account is missing.
const ASSET_OF_NOBODY: &str = "KRW";

pub(crate) async fn open(asking: WalletContext<'_>, open: &OpenArgs) -> Result<(), Failure> {
    let label = text(&open.label, "--label")?;
    let id = match open.id {
        Some(id) => id,
        None => AccountId::new(
            uuid::Builder::from_random_bytes(random()?.to_be_bytes()).into_uuid().as_u128(),
        ),
    };
    if open.id.is_none() {
        announce(&id);
    }
    let (kind, asset, limits) = (open.kind, open.asset, Limits::default());
    asking.submit(Command::OpenAccount(OpenAccount { id, kind, asset, label, limits })).await
}

pub(crate) async fn transfer(
    asking: WalletContext<'_>,
    movement: &MovementArgs,
    kind: TransferKind,
) -> Result<(), Failure> {
    let memo = text(&movement.memo, "--memo")?;
    let id = id_or_new(movement.id)?;
    let transfer = Transfer {
        id,
        debit: movement.from,
        credit: movement.to,
        amount: Amount(movement.amount),
        asset: asset_of(asking.door, movement).await?,
        kind,
        reference: Text::default(),
        memo,
    };
    asking.submit(Command::Transfer(transfer)).await
}

pub(crate) async fn refund(asking: WalletContext<'_>, wanted: &RefundArgs) -> Result<(), Failure> {
    let memo = text(&wanted.memo, "--memo")?;
    let id = id_or_new(wanted.id)?;
    let (payment, amount) = (wanted.payment, wanted.amount.map(Amount));
    asking.submit(Command::Refund(refund::Refund { id, payment, amount, memo })).await
}

/// The given asset, or that of the paying account. An account's asset never changes, so a retry
/// with the same id sends the same command.
pub(crate) async fn asset_of(door: &Door, movement: &MovementArgs) -> Result<Asset, Failure> {
    if let Some(asset) = movement.asset {
        return Ok(asset);
    }
    match door.account(movement.from, ReadSource::Current(None)).await {
        Ok(account) => Asset::parse(&account.asset)
            .map_err(|error| Failure::failed(format!("the site names no asset: {error}"))),
        Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {
            Ok(Asset::parse(ASSET_OF_NOBODY).expect("three capital letters"))
        }
        Err(error) => Err(no_answer(&error)),
    }
}
