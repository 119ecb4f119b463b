//! Commands in the HTTP API's form: a route and a body for each, and items of a batch.

use bytes::Bytes;
use evenkeel_http::Method;
use evenkeel_wire::{
    account::{AccountStatus, LimitChange, Limits},
    command::Command,
    transfer::Text,
};
use serde_json::{Map, Value, json};

use super::SiteRequest;

/// The id with which a command can be sent again.
pub(crate) fn id_of(command: &Command) -> String {
    match command {
        Command::OpenAccount(open) => open.id.to_string(),
        other => other.id().map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// The request for one command, on its own route.
pub(crate) fn command_request(command: &Command) -> SiteRequest {
    let post = |path: String, body: Value| SiteRequest {
        method: Method::POST,
        path,
        body: Bytes::from(body.to_string()),
    };
    let body = body(command);
    match command {
        Command::OpenAccount(_) => post("/v1/accounts".to_owned(), body),
        Command::Transfer(_) => post("/v1/transfers".to_owned(), body),
        Command::Refund(refund) => post(format!("/v1/transfers/{}/refund", refund.payment), body),
        Command::Reversal(reversal) => {
            post(format!("/v1/transfers/{}/reversal", reversal.transfer), body)
        }
        Command::Hold(_) => post("/v1/holds".to_owned(), body),
        Command::Capture(capture) => post(format!("/v1/holds/{}/capture", capture.hold), body),
        Command::Void(void) => post(format!("/v1/holds/{}/void", void.hold), body),
        Command::SetStatus(change) => {
            let verb = match change.status {
                AccountStatus::Open => "unfreeze",
                AccountStatus::Frozen => "freeze",
                AccountStatus::Closed => "close",
            };
            post(format!("/v1/accounts/{}/{verb}", change.account), body)
        }
        Command::SetLimits(change) => {
            let path = format!("/v1/accounts/{}/limits", change.account);
            SiteRequest { method: Method::PUT, ..post(path, body) }
        }
        made_by_nodes => unreachable!("no client makes {made_by_nodes:?}"),
    }
}

/// The request for many commands, each decided for itself.
pub(crate) fn batch_request(commands: &[Command]) -> SiteRequest {
    let items: Vec<Value> = commands.iter().map(item).collect();
    let body = json!({"atomic": false, "commands": items}).to_string();
    SiteRequest { method: Method::POST, path: "/v1/batches".to_owned(), body: Bytes::from(body) }
}

fn item(command: &Command) -> Value {
    let (name, target) = match command {
        Command::OpenAccount(_) => ("open_account", None),
        Command::Transfer(_) => ("transfer", None),
        Command::Hold(_) => ("hold", None),
        Command::Capture(capture) => ("capture", Some(("hold", capture.hold))),
        Command::Void(void) => ("void", Some(("hold", void.hold))),
        Command::Refund(refund) => ("refund", Some(("payment", refund.payment))),
        other => unreachable!("no batch takes {other:?}"),
    };
    let mut body = body(command);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("type".to_owned(), name.into());
        fields.extend(target.map(|(name, id)| (name.to_owned(), id.to_string().into())));
    }
    body
}

/// The body of a command's own route.
fn body(command: &Command) -> Value {
    let mut body = json!({"id": id_of(command)});
    let Some(fields) = body.as_object_mut() else { return body };
    match command {
        Command::OpenAccount(open) => {
            put(fields, "kind", open.kind.name());
            put(fields, "asset", open.asset.name());
            put_text(fields, "label", &open.label);
            let limits = limits(&open.limits);
            if !limits.is_empty() {
                put(fields, "limits", limits);
            }
        }
        Command::Transfer(transfer) => {
            put(fields, "kind", transfer.kind.name());
            put(fields, "debit", transfer.debit.to_string());
            put(fields, "credit", transfer.credit.to_string());
            put(fields, "amount", transfer.amount.0);
            put(fields, "asset", transfer.asset.name());
            put_text(fields, "reference", &transfer.reference);
            put_text(fields, "memo", &transfer.memo);
        }
        Command::Hold(hold) => {
            put(fields, "debit", hold.debit.to_string());
            put(fields, "credit", hold.credit.to_string());
            put(fields, "amount", hold.amount.0);
            put(fields, "asset", hold.asset.name());
            put(fields, "expires_in_ms", hold.expires_in_ms);
            put_text(fields, "memo", &hold.memo);
        }
        Command::Capture(capture) => {
            fields.extend(capture.amount.map(|amount| ("amount".to_owned(), amount.0.into())));
        }
        Command::Refund(refund) => {
            fields.extend(refund.amount.map(|amount| ("amount".to_owned(), amount.0.into())));
            put_text(fields, "memo", &refund.memo);
        }
        Command::Reversal(reversal) => put(fields, "reason", reversal.reason.as_str()),
        Command::SetLimits(change) => fields.extend(limits(&change.limits)),
        _ => {}
    }
    body
}

fn put(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

/// Adds a text unless it's empty.
fn put_text<const MAX: usize>(fields: &mut Map<String, Value>, name: &str, text: &Text<MAX>) {
    if !text.as_str().is_empty() {
        put(fields, name, text.as_str());
    }
}

/// The changed limits: an absent one stays, null clears it.
fn limits(limits: &Limits) -> Map<String, Value> {
    let changes = [
        ("max_balance", limits.max_balance),
        ("per_transfer", limits.per_transfer),
        ("daily_debit", limits.daily_debit),
    ];
    let changed = changes.into_iter().filter_map(|(name, change)| match change {
        LimitChange::Keep => None,
        LimitChange::Clear => Some((name.to_owned(), Value::Null)),
        LimitChange::Set(amount) => Some((name.to_owned(), amount.0.into())),
    });
    changed.collect()
}
