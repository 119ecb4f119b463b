//! Reports a command's result, as text or as the HTTP door's JSON with the command's id.

use evenkeel_wire::{
    client::ClientError,
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
        shapes::{CommandResult, OutcomeKind},
    },
    output,
};

pub(crate) fn report_result(
    command: &Command,
    done: &CommandResult,
    json: bool,
) -> Result<(), Failure> {
    if json {
        output::print_json(done)?;
    }
    let place = done.place.as_ref().map(|place| format!(" at position {}", place.position));
    let place = place.unwrap_or_default();
    let again = if done.replayed { ", same result as the first time" } else { "" };
    match (done.outcome, &done.code) {
        (OutcomeKind::Committed, _) if json => Ok(()),
        (OutcomeKind::Committed, _) => output::print(&format!(
            "{}: committed{place}{again}{}",
            describe_command(command),
            describe_change(command, done)
        )),
        (OutcomeKind::Rejected, code) => {
            let code = code.as_deref().unwrap_or("without a code");
            let place = if place.is_empty() { place } else { format!(",{place}") };
            let text = format!("{}: rejected, {code}{place}{again}", describe_command(command));
            Err(Failure::new(Exit::Rejected, text))
        }
    }
}

pub(crate) fn unanswered(
    command: &Command,
    error: &ClientError,
    json: bool,
) -> Result<(), Failure> {
    let failure = no_answer(error);
    if json {
        let outcome = match error {
            ClientError::Refused(_) => "refused",
            ClientError::Unavailable(_) => "unavailable",
            ClientError::Unknown(_) => "unknown",
        };
        output::print_json(&json!({
            "outcome": outcome,
            "id": id_of(command),
            "detail": error.to_string(),
        }))?;
    }
    Err(Failure::new(failure.exit, format!("{}: {}", describe_command(command), failure.text)))
}

fn describe_command(command: &Command) -> String {
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

/// The effect of a committed command.
fn describe_change(command: &Command, done: &CommandResult) -> String {
    let amount = done.amount;
    let balances = match (done.debit_after, done.credit_after) {
        (Some(debit), Some(credit)) => format!("; balances now {debit} (debit), {credit} (credit)"),
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
