//! What became of a command: in words, or as the JSON that the HTTP door gives, with the command's id.

use evenkeel_wire::{
    client::Error,
    command::Command,
    hold,
    refund::Refund,
    transfer::{Transfer, TransferKind},
};
use serde_json::json;

use crate::{
    Exit, Failure,
    door::{
        http::id_of,
        no_answer,
        shapes::{Done, Ended},
    },
    output,
};

pub(crate) fn done(command: &Command, done: &Done, json: bool) -> Result<(), Failure> {
    if json {
        output::print_json(done)?;
    }
    let place = done.place.as_ref().map(|place| format!(" at position {}", place.position));
    let place = place.unwrap_or_default();
    let again = if done.replayed { ", as it was the first time" } else { "" };
    match (done.outcome, &done.code) {
        (Ended::Committed, _) if json => Ok(()),
        (Ended::Committed, _) => output::print(&format!(
            "{}: committed{place}{again}{}",
            words(command),
            after(command, done)
        )),
        (Ended::Rejected, code) => {
            let code = code.as_deref().unwrap_or("without a code");
            let place = if place.is_empty() { place } else { format!(",{place}") };
            let text = format!("{}: rejected, {code}{place}{again}", words(command));
            Err(Failure::new(Exit::Rejected, text))
        }
    }
}

pub(crate) fn unanswered(command: &Command, error: &Error, json: bool) -> Result<(), Failure> {
    let failure = no_answer(error);
    if json {
        let outcome = match error {
            Error::Refused(_) => "refused",
            Error::Unavailable(_) => "unavailable",
            Error::Unknown(_) => "unknown",
        };
        output::print_json(&json!({
            "outcome": outcome,
            "id": id_of(command),
            "detail": error.to_string(),
        }))?;
    }
    Err(Failure::new(failure.exit, format!("{}: {}", words(command), failure.text)))
}

fn words(command: &Command) -> String {
    match command {
        Command::OpenAccount(open) => {
            format!("{} account {} in {}", open.kind, open.id, open.asset)
        }
        Command::Transfer(transfer) => {
            let Transfer { id, amount, asset, kind, .. } = transfer;
            let kind = match kind {
                TransferKind::TopUp => "top-up",
                TransferKind::CashOut => "cash-out",
                other => other.name(),
            };
            format!("{kind} {id} of {amount} {asset}")
        }
        Command::Hold(hold) => {
            let hold::Hold { id, amount, asset, .. } = hold;
            format!("hold {id} of {amount} {asset}")
        }
        Command::Capture(capture) => format!("capture {} of hold {}", capture.id, capture.hold),
        Command::Void(void) => format!("void {} of hold {}", void.id, void.hold),
        Command::Refund(refund) => {
            let Refund { id, payment, .. } = refund;
            format!("refund {id} of payment {payment}")
        }
        other => format!("{other:?}"),
    }
}

/// What a committed command has changed.
fn after(command: &Command, done: &Done) -> String {
    let amount = done.amount;
    let balances = match (done.debit_after, done.credit_after) {
        (Some(debit), Some(credit)) => format!("; {debit} left, {credit} there"),
        _ => String::new(),
    };
    match command {
        Command::Capture(_) | Command::Refund(_) => format!("; {amount} moved{balances}"),
        Command::Hold(_) => match &done.hold {
            Some(hold) => format!("; {amount} held until {}", hold.expires_at),
            None => format!("; {amount} held"),
        },
        Command::Void(_) => format!("; {amount} released"),
        _ => balances,
    }
}
