//! Verbs that change something: open an account, move money.

use evenkeel_wire::{
    account::{Limits, OpenAccount},
    amount::{Amount, Asset},
    client::{Client, Error},
    command::Command,
    id::AccountId,
    reply::{RefusalCode, View},
    request::{Consistency, Query},
    transfer::{Text, Transfer, TransferKind},
};

use super::{Movement, Open, new_id, random, report};
use crate::{
    cli::{Failure, door::no_answer, output},
    clock::SystemClock,
};

/// What the ledger is asked in when nobody named an asset and nobody knows the account: it then says which is missing.
const ASSET_OF_NOBODY: &str = "KRW";

pub(super) async fn open(client: &Client, open: &Open, json: bool) -> Result<(), Failure> {
    let id = match open.id {
        Some(id) => id,
        None => AccountId::new(
            uuid::Builder::from_random_bytes(random()?.to_be_bytes()).into_uuid().as_u128(),
        ),
    };
    if open.id.is_none() {
        announce(&id);
    }
    let account = OpenAccount {
        id,
        kind: open.kind,
        asset: open.asset,
        label: text(&open.label, "--label")?,
        limits: Limits::default(),
    };
    submit(client, Command::OpenAccount(account), json).await
}

pub(super) async fn transfer(
    client: &Client,
    movement: &Movement,
    kind: TransferKind,
    json: bool,
) -> Result<(), Failure> {
    let memo = text(&movement.memo, "--memo")?;
    let id = match movement.id {
        Some(id) => id,
        None => new_id(&SystemClock)?,
    };
    if movement.id.is_none() {
        announce(&id);
    }
    let asset = match movement.asset {
        Some(asset) => asset,
        None => asset_of(client, movement.from).await?,
    };
    let transfer = Transfer {
        id,
        debit: movement.from,
        credit: movement.to,
        amount: Amount(movement.amount),
        asset,
        kind,
        reference: Text::default(),
        memo,
    };
    submit(client, Command::Transfer(transfer), json).await
}

async fn submit(client: &Client, command: Command, json: bool) -> Result<(), Failure> {
    match client.submit(std::slice::from_ref(&command)).await {
        Ok(answers) => match answers.first() {
            Some(answered) => report::answered(&command, answered, json),
            None => Err(Failure::failed("the site answered without an outcome")),
        },
        Err(error) => report::unanswered(&command, &error, json),
    }
}

/// An account's asset never changes, so a retry with the same id asks for the same.
async fn asset_of(client: &Client, account: AccountId) -> Result<Asset, Failure> {
    match client.read(Query::Account(account), Consistency::Linearizable).await {
        Ok(reply) => match reply.view {
            View::Account(view) => Ok(view.asset),
            _ => Err(Failure::failed("the site answered something else than an account")),
        },
        Err(Error::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {
            Ok(Asset::parse(ASSET_OF_NOBODY).expect("three capital letters"))
        }
        Err(error) => Err(no_answer(&error)),
    }
}

/// Before anything is sent: whoever is interrupted can still ask again.
fn announce(id: &impl std::fmt::Display) {
    output::note(&format!("id {id}"));
}

fn text<const MAX: usize>(text: &str, flag: &str) -> Result<Text<MAX>, Failure> {
    Text::new(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}
