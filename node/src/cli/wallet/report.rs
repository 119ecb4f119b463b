//! What became of a command: in words, or as the JSON that the HTTP door gives, with the command's id.

use evenkeel_wire::{
    client::{Answered, Error},
    command::Command,
    transfer::{Transfer, TransferKind},
};
use serde_json::{Map, Value, json};

use crate::{
    cli::{Exit, Failure, door::no_answer, output},
    clock::rfc3339,
};

pub(super) fn answered(command: &Command, answered: &Answered, json: bool) -> Result<(), Failure> {
    let rejection = answered.outcome.rejection;
    if json {
        output::print_json(&outcome_json(command, answered))?;
    }
    let again = if answered.replayed { ", as it was the first time" } else { "" };
    let place = format!("at position {}", answered.stamp.position);
    match rejection {
        None if json => Ok(()),
        None => output::print(&format!(
            "{}: committed {place}{again}{}",
            words(command),
            after(command, answered)
        )),
        Some(code) => Err(Failure::new(
            Exit::Rejected,
            format!("{}: rejected, {code}, {place}{again}", words(command)),
        )),
    }
}

pub(super) fn unanswered(command: &Command, error: &Error, json: bool) -> Result<(), Failure> {
    let failure = no_answer(error);
    if json {
        let outcome = match error {
            Error::Refused(_) => "refused",
            Error::Unavailable(_) => "unavailable",
            Error::Unknown(_) => "unknown",
        };
        output::print_json(&json!({
            "outcome": outcome,
            "id": id(command),
            "detail": error.to_string(),
        }))?;
    }
    Err(Failure::new(failure.exit, format!("{}: {}", words(command), failure.text)))
}

fn outcome_json(command: &Command, answered: &Answered) -> Value {
    let outcome = &answered.outcome;
    let stamp = &answered.stamp;
    let mut value = json!({
        "outcome": if outcome.rejection.is_some() { "rejected" } else { "committed" },
        "id": id(command),
        "position": stamp.position,
        "index": outcome.index,
        "term": stamp.term,
        "recorded_at": rfc3339(stamp.recorded_at),
        "link": blake3::Hash::from_bytes(stamp.link).to_hex().as_str(),
        "replayed": answered.replayed,
    });
    let Some(fields) = value.as_object_mut() else { return value };
    match (command, outcome.rejection) {
        (_, Some(rejection)) => {
            fields.insert("code".to_owned(), rejection.name().into());
        }
        (Command::Transfer(transfer), None) => {
            fields.insert("transfer".to_owned(), Value::Object(transfer_json(transfer)));
            fields.insert("debit_after".to_owned(), outcome.debit_after.into());
            fields.insert("credit_after".to_owned(), outcome.credit_after.into());
        }
        (Command::OpenAccount(open), None) => {
            let account = json!({
                "id": open.id.to_string(),
                "kind": open.kind.name(),
                "asset": open.asset.name(),
                "label": open.label.as_str(),
            });
            fields.insert("account".to_owned(), account);
        }
        (_, None) => {}
    }
    value
}

/// A transfer's own fields; empty texts are absent.
pub(super) fn transfer_json(transfer: &Transfer) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("id", transfer.id.to_string().into());
    put("kind", transfer.kind.name().into());
    put("debit", transfer.debit.to_string().into());
    put("credit", transfer.credit.to_string().into());
    put("amount", transfer.amount.0.into());
    put("asset", transfer.asset.name().into());
    for (name, text) in
        [("reference", transfer.reference.as_str()), ("memo", transfer.memo.as_str())]
    {
        if !text.is_empty() {
            put(name, text.into());
        }
    }
    fields
}

fn id(command: &Command) -> String {
    match command {
        Command::OpenAccount(open) => open.id.to_string(),
        Command::Transfer(transfer) => transfer.id.to_string(),
        other => other.id().map(|id| id.to_string()).unwrap_or_default(),
    }
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
        other => format!("{other:?}"),
    }
}

fn after(command: &Command, answered: &Answered) -> String {
    match command {
        Command::Transfer(_) => format!(
            "; {} left, {} there",
            answered.outcome.debit_after, answered.outcome.credit_after
        ),
        _ => String::new(),
    }
}
