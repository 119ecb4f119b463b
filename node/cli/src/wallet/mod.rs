//! `evenkeel wallet`: a person's client. Each call sends one command or one query.
//!
//! An id is generated and printed before anything is sent, so that a call without an answer can be
//! repeated: the same id gets the same answer every time.

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
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: WalletVerb,
}

#[derive(Debug, Subcommand)]
enum WalletVerb {
    /// Open an account
    Open(OpenArgs),
    /// Transfer from a bank to a wallet
    TopUp(MovementArgs),
    /// Transfer from a wallet to a wallet
    Send(MovementArgs),
    /// Transfer from a wallet to a merchant
    Pay(MovementArgs),
    /// Reserve a wallet's money for a merchant
    Hold(HoldArgs),
    /// Take held money, once; the rest of the hold is released
    Capture(CaptureArgs),
    /// Release a hold
    Void(VoidArgs),
    /// Refund a payment, in full or in part
    Refund(RefundArgs),
    /// Transfer from a wallet or a merchant to a bank
    CashOut(MovementArgs),
    /// Show an account's balances
    Show(ShowArgs),
    /// List an account's transfers, newest first
    History(HistoryArgs),
}

#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// The account's id, any UUID [default: a new one]
    #[arg(value_name = "ID", value_parser = parse_account)]
    id: Option<AccountId>,
    /// Kind: wallet, merchant, bank, fee or issuer
    #[arg(long, value_parser = parse_kind)]
    kind: AccountKind,
    /// The account's asset: KRW, POINT …
    #[arg(long, value_parser = parse_asset)]
    asset: Asset,
    /// A label for people, at most 64 bytes
    #[arg(long, default_value = "")]
    label: String,
}

#[derive(Debug, clap::Args)]
struct MovementArgs {
    /// The paying account
    #[arg(long, value_name = "ID", value_parser = parse_account)]
    from: AccountId,
    /// The receiving account
    #[arg(long, value_name = "ID", value_parser = parse_account)]
    to: AccountId,
    /// The amount in the asset's minor unit
    #[arg(long, value_name = "N")]
    amount: u64,
    /// The asset [default: the asset of the paying account]
    #[arg(long, value_parser = parse_asset)]
    asset: Option<Asset>,
    /// The id of an earlier attempt [default: a new one]
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
    /// A memo for people, at most 140 bytes
    #[arg(long, default_value = "")]
    memo: String,
}

#[derive(Debug, clap::Args)]
struct HoldArgs {
    #[command(flatten)]
    movement: MovementArgs,
    /// How long the hold lasts, at most 31 days: 90s, 10m, 1h30m
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    expires_in: u64,
}

#[derive(Debug, clap::Args)]
struct CaptureArgs {
    /// The hold's id
    #[arg(value_name = "HOLD", value_parser = parse_command_id)]
    hold: CommandId,
    /// The amount, at most the held amount [default: all of it]
    #[arg(long, value_name = "N")]
    amount: Option<u64>,
    /// The id of an earlier attempt [default: a new one]
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct VoidArgs {
    /// The hold's id
    #[arg(value_name = "HOLD", value_parser = parse_command_id)]
    hold: CommandId,
    /// The id of an earlier attempt [default: a new one]
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct RefundArgs {
    /// The payment's id; for a captured payment, the capture's id
    #[arg(value_name = "PAYMENT", value_parser = parse_command_id)]
    payment: CommandId,
    /// The amount, at most the part not yet refunded [default: all of that part]
    #[arg(long, value_name = "N")]
    amount: Option<u64>,
    /// A memo for people, at most 140 bytes
    #[arg(long, default_value = "")]
    memo: String,
    /// The id of an earlier attempt [default: a new one]
    #[arg(long, value_name = "UUIDv7", value_parser = parse_command_id)]
    id: Option<CommandId>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[arg(value_name = "ACCOUNT", value_parser = parse_account)]
    account: AccountId,
    /// Read the site's local state, shown with its position and age; works without a majority
    #[arg(long)]
    local: bool,
    /// Ask only this site
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
        .ok_or_else(|| "the kinds are wallet, merchant, bank, fee and issuer".to_owned())
}

fn parse_asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

/// Parses a hold's duration, in milliseconds.
fn parse_span(text: &str) -> Result<u64, String> {
    let span: SignedDuration =
        text.parse().map_err(|_| "write a duration: 90s, 10m, 1h30m".to_owned())?;
    u64::try_from(span.as_millis())
        .ok()
        .filter(|milliseconds| (1..=HOLD_MS_MAX).contains(milliseconds))
        .ok_or_else(|| "a hold lasts 1 ms to 31 days".to_owned())
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

/// The door that a verb uses, and its output format.
#[derive(Clone, Copy)]
struct WalletContext<'a> {
    door: &'a Door,
    json: bool,
}

impl WalletContext<'_> {
    /// Submits one command and reports its result.
    async fn submit(self, command: Command) -> Result<(), Failure> {
        match self.door.submit(&command, self.json).await {
            Ok(done) => report::report_result(&command, &done, self.json),
            Err(error) => report::unanswered(&command, &error, self.json),
        }
    }
}

/// Short waits for interactive use: a door already waits for a primary, and repeating a call is
/// easy.
fn impatient_options() -> ClientOptions {
    ClientOptions {
        silence: Duration::from_millis(150),
        no_primary_is_final: true,
        ..ClientOptions::default()
    }
}

/// The id of an earlier attempt, or a new one. A new id is printed before anything is sent, so that
/// an interrupted call can be repeated.
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
        .map_err(|error| Failure::failed(format!("the system's random source failed: {error}")))?;
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
