//! `evenkeel wallet`: a person's client. One command or one question, one answer.
//!
//! An id is made and printed before anything is sent, so that a call that ends without an answer can be made again: the
//! same id gets the same answer, however often it's asked.

mod hold;
mod movement;
mod report;
mod show;

use std::time::Duration;

use clap::Subcommand;
use evenkeel_wire::{
    account::AccountKind,
    amount::Asset,
    client::ClientOptions,
    command::Command,
    id::{AccountId, CommandId},
    limits::HOLD_MS_MAX,
    transfer::{Text, TransferKind},
};
use jiff::SignedDuration;

use crate::{
    Failure,
    door::{ClientFile, Door, block_on},
    output,
};
use evenkeel_node::clock::{Clock, SystemClock};

#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct WalletArgs {
    #[command(flatten)]
    file: ClientFile,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: WalletVerb,
}

#[derive(Debug, Subcommand)]
enum WalletVerb {
    /// Open an account
    Open(OpenArgs),
    /// From a bank to a wallet
    TopUp(MovementArgs),
    /// From a wallet to a wallet
    Send(MovementArgs),
    /// From a wallet to a merchant
    Pay(MovementArgs),
    /// Set money of a wallet aside for a merchant
    Hold(HoldArgs),
    /// Take what a hold has set aside, once; what isn't taken is released
    Capture(CaptureArgs),
    /// Give back what a hold has set aside
    Void(VoidArgs),
    /// Pay a payment back, or a part of it
    Refund(RefundArgs),
    /// From a wallet or a merchant to a bank
    CashOut(MovementArgs),
    /// What an account holds
    Show(ShowArgs),
    /// An account's transfers, newest first
    History(HistoryArgs),
}

#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// The account's id, any UUID; a new one without it
    #[arg(value_name = "ID", value_parser = parse_account)]
    id: Option<AccountId>,
    /// wallet, merchant, bank, fee or issuer
    #[arg(long, value_parser = parse_kind)]
    kind: AccountKind,
    /// KRW, POINT …
    #[arg(long, value_parser = parse_asset)]
    asset: Asset,
    /// For people, at most 64 bytes
    #[arg(long, default_value = "")]
    label: String,
}

#[derive(Debug, clap::Args)]
struct MovementArgs {
    /// The account that pays
    #[arg(long, value_name = "ID", value_parser = parse_account)]
    from: AccountId,
    /// The account that is paid
    #[arg(long, value_name = "ID", value_parser = parse_account)]
    to: AccountId,
    /// In the asset's minor unit
    #[arg(long, value_name = "N")]
    amount: u64,
    /// The asset of the account that pays, without it
    #[arg(long, value_parser = parse_asset)]
    asset: Option<Asset>,
    /// The id of an earlier try; a new one without it
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
    /// For people, at most 140 bytes
    #[arg(long, default_value = "")]
    memo: String,
}

#[derive(Debug, clap::Args)]
struct HoldArgs {
    #[command(flatten)]
    movement: MovementArgs,
    /// How long it stands, at most 31 days: 90s, 10m, 1h30m
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    expires_in: u64,
}

#[derive(Debug, clap::Args)]
struct CaptureArgs {
    /// The hold's id
    #[arg(value_name = "HOLD", value_parser = parse_command_id)]
    hold: CommandId,
    /// At most what is held; all of it without
    #[arg(long, value_name = "N")]
    amount: Option<u64>,
    /// The id of an earlier try; a new one without it
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct VoidArgs {
    /// The hold's id
    #[arg(value_name = "HOLD", value_parser = parse_command_id)]
    hold: CommandId,
    /// The id of an earlier try; a new one without it
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct RefundArgs {
    /// The payment's id; a capture's, where it came about by one
    #[arg(value_name = "PAYMENT", value_parser = parse_command_id)]
    payment: CommandId,
    /// At most what is left of it; all that is left without
    #[arg(long, value_name = "N")]
    amount: Option<u64>,
    /// For people, at most 140 bytes
    #[arg(long, default_value = "")]
    memo: String,
    /// The id of an earlier try; a new one without it
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[arg(value_name = "ACCOUNT", value_parser = parse_account)]
    account: AccountId,
    /// What the asked site knows, labelled with its position and age; works without a majority
    #[arg(long)]
    local: bool,
    /// Ask this site and no other
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

#[derive(Debug, clap::Args)]
struct HistoryArgs {
    #[arg(value_name = "ACCOUNT", value_parser = parse_account)]
    account: AccountId,
    /// The most transfers to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

fn parse_account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

fn parse_command_id(text: &str) -> Result<CommandId, String> {
    CommandId::parse(text).map_err(|error| error.to_string())
}

fn parse_kind(name: &str) -> Result<AccountKind, String> {
    AccountKind::from_name(name)
        .ok_or_else(|| "there are wallet, merchant, bank, fee and issuer".to_owned())
}

fn parse_asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

/// A hold's time, in milliseconds.
fn parse_span(text: &str) -> Result<u64, String> {
    let span: SignedDuration =
        text.parse().map_err(|_| "write a span of time: 90s, 10m, 1h30m".to_owned())?;
    u64::try_from(span.as_millis())
        .ok()
        .filter(|milliseconds| (1..=HOLD_MS_MAX).contains(milliseconds))
        .ok_or_else(|| "a hold stands for 1 ms to 31 days".to_owned())
}

pub(crate) fn run(args: &WalletArgs) -> Result<(), Failure> {
    let config = args.file.load()?;
    block_on(async {
        let door = Door::new(&config, impatient_options(), args.file.http)?;
        let asking = WalletContext { door: &door, json: args.json };
        match &args.verb {
            WalletVerb::Open(open) => movement::open(asking, open).await,
            WalletVerb::TopUp(made) => movement::transfer(asking, made, TransferKind::TopUp).await,
            WalletVerb::Send(made) => {
                movement::transfer(asking, made, TransferKind::Transfer).await
            }
            WalletVerb::Pay(made) => movement::transfer(asking, made, TransferKind::Payment).await,
            WalletVerb::CashOut(made) => {
                movement::transfer(asking, made, TransferKind::CashOut).await
            }
            WalletVerb::Hold(hold) => hold::hold(asking, hold).await,
            WalletVerb::Capture(capture) => hold::capture(asking, capture).await,
            WalletVerb::Void(void) => hold::void(asking, void).await,
            WalletVerb::Refund(refund) => movement::refund(asking, refund).await,
            WalletVerb::Show(show) => show::show_account(asking, show).await,
            WalletVerb::History(history) => show::show_history(asking, history).await,
        }
    })
}

/// Whom a verb asks, and how it tells of the answer.
#[derive(Clone, Copy)]
struct WalletContext<'a> {
    door: &'a Door,
    json: bool,
}

impl WalletContext<'_> {
    /// Has one command decided, and reports what became of it.
    async fn submit(self, command: Command) -> Result<(), Failure> {
        match self.door.submit(&command, self.json).await {
            Ok(done) => report::report_result(&command, &done, self.json),
            Err(error) => report::unanswered(&command, &error, self.json),
        }
    }
}

/// A person wants to know now: doors have waited for a primary already, and asking again is easy.
fn impatient_options() -> ClientOptions {
    ClientOptions {
        silence: Duration::from_millis(150),
        no_primary_is_final: true,
        ..ClientOptions::default()
    }
}

/// The id of an earlier try, or a new one. A new one is told before anything is sent: whoever is interrupted can still ask
/// again.
fn id_or_new(given: Option<CommandId>) -> Result<CommandId, Failure> {
    if let Some(id) = given {
        return Ok(id);
    }
    let id = CommandId::from_parts(SystemClock.wall_millis(), random()?);
    announce(&id);
    Ok(id)
}

fn announce(id: &impl std::fmt::Display) {
    output::print_note(&format!("id {id}"));
}

fn random() -> Result<u128, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the machine has no randomness: {error}")))?;
    Ok(u128::from_le_bytes(bytes))
}

fn text<const MAX: usize>(text: &str, flag: &str) -> Result<Text<MAX>, Failure> {
    Text::new(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, milliseconds) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("90s", 90_000),
            ("250ms", 250),
            ("1ms", 1),
            ("744h", HOLD_MS_MAX),
        ] {
            assert_eq!(parse_span(text), Ok(milliseconds), "{text}");
        }
        for text in
            ["", "10", "ten minutes", "0s", "-10m", "10m ago", "999us", "744h 1ms", "1 month"]
        {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }
}
