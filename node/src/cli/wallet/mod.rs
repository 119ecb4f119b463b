//! `evenkeel wallet`: a person's client. One command or one question, one answer.
//!
//! An id is made and printed before anything is sent, so that a call that ends without an answer can be made again: the
//! same id gets the same answer, however often it's asked.

mod look;
mod movement;
mod report;

use std::time::Duration;

use clap::Subcommand;
use evenkeel_wire::{
    account::AccountKind,
    amount::Asset,
    client::{Client, ClientOptions},
    id::{AccountId, CommandId},
    transfer::TransferKind,
};

use super::{
    Failure,
    door::{ClientFile, block_on},
};
use crate::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(flatten)]
    file: ClientFile,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Open an account
    Open(Open),
    /// From a bank to a wallet
    TopUp(Movement),
    /// From a wallet to a wallet
    Send(Movement),
    /// From a wallet to a merchant
    Pay(Movement),
    /// From a wallet or a merchant to a bank
    CashOut(Movement),
    /// What an account holds
    Show(Show),
    /// An account's transfers, newest first
    History(History),
}

#[derive(Debug, clap::Args)]
struct Open {
    /// The account's id, any UUID; a new one without it
    #[arg(value_name = "ID", value_parser = account)]
    id: Option<AccountId>,
    /// wallet, merchant, bank, fee or issuer
    #[arg(long, value_parser = kind)]
    kind: AccountKind,
    /// KRW, POINT …
    #[arg(long, value_parser = asset)]
    asset: Asset,
    /// For people, at most 64 bytes
    #[arg(long, default_value = "")]
    label: String,
}

#[derive(Debug, clap::Args)]
struct Movement {
    /// The account that pays
    #[arg(long, value_name = "ID", value_parser = account)]
    from: AccountId,
    /// The account that is paid
    #[arg(long, value_name = "ID", value_parser = account)]
    to: AccountId,
    /// In the asset's minor unit
    #[arg(long, value_name = "N")]
    amount: u64,
    /// The asset of the account that pays, without it
    #[arg(long, value_parser = asset)]
    asset: Option<Asset>,
    /// The id of an earlier try; a new one without it
    #[arg(long, value_name = "UUIDv7", value_parser = command)]
    id: Option<CommandId>,
    /// For people, at most 140 bytes
    #[arg(long, default_value = "")]
    memo: String,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[arg(value_name = "ACCOUNT", value_parser = account)]
    account: AccountId,
    /// What the asked site knows, labelled with its position and age; works without a majority
    #[arg(long)]
    local: bool,
    /// Ask this site and no other
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

#[derive(Debug, clap::Args)]
struct History {
    #[arg(value_name = "ACCOUNT", value_parser = account)]
    account: AccountId,
    /// The most transfers to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

fn command(text: &str) -> Result<CommandId, String> {
    CommandId::parse(text).map_err(|error| error.to_string())
}

fn kind(name: &str) -> Result<AccountKind, String> {
    AccountKind::from_name(name)
        .ok_or_else(|| "there are wallet, merchant, bank, fee and issuer".to_owned())
}

fn asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.file.load()?;
    block_on(async {
        let client = Client::connect(config, impatient());
        let moved = |movement, kind| movement::transfer(&client, movement, kind, args.json);
        match &args.verb {
            Verb::Open(open) => movement::open(&client, open, args.json).await,
            Verb::TopUp(movement) => moved(movement, TransferKind::TopUp).await,
            Verb::Send(movement) => moved(movement, TransferKind::Transfer).await,
            Verb::Pay(movement) => moved(movement, TransferKind::Payment).await,
            Verb::CashOut(movement) => moved(movement, TransferKind::CashOut).await,
            Verb::Show(show) => look::show(&client, show, args.json).await,
            Verb::History(history) => look::history(&client, history, args.json).await,
        }
    })
}

/// A person wants to know now: doors have waited for a primary already, and asking again is easy.
fn impatient() -> ClientOptions {
    ClientOptions {
        silence: Duration::from_millis(150),
        no_primary_is_final: true,
        ..ClientOptions::default()
    }
}

/// A new command id for now.
fn new_id(clock: &impl Clock) -> Result<CommandId, Failure> {
    Ok(CommandId::from_parts(clock.wall_millis(), random()?))
}

fn random() -> Result<u128, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the machine has no randomness: {error}")))?;
    Ok(u128::from_le_bytes(bytes))
}
