//! The API's JSON, decoded and encoded for a simulated site.

use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::{Amount, Asset},
    command::Command,
    hold::{Capture, Hold, Void},
    id::{AccountId, CommandId},
    outcome::{Outcome, Stamp},
    refund::Refund,
    reply::{AccountView, AsOf, HoldView, Totals, TransferView},
    request::{Consistency, Cursor, Query},
    transfer::{Text, Transfer, TransferKind},
};
use serde_json::{Value, json};

/// Decodes the command from a route and a body.
pub(crate) fn command(path: &str, body: &Value) -> Command {
    let mut parts = path.trim_start_matches("/v1/").split('/');
    let (resource, target, verb) = (parts.next(), parts.next(), parts.next());
    match (resource, target, verb) {
        (Some("accounts"), None, _) => open(body),
        (Some("transfers"), None, _) => transfer(body),
        (Some("transfers"), Some(payment), Some("refund")) => refund(payment, body),
        (Some("holds"), None, _) => hold(body),
        (Some("holds"), Some(hold), Some("capture")) => capture(hold, body),
        (Some("holds"), Some(hold), Some("void")) => void(hold, body),
        _ => panic!("the tests don't use {path}"),
    }
}

/// Decodes the command from an item of a batch.
pub(crate) fn item(body: &Value) -> Command {
    match text(body, "type") {
        "open_account" => open(body),
        "transfer" => transfer(body),
        "hold" => hold(body),
        "capture" => capture(text(body, "hold"), body),
        "void" => void(text(body, "hold"), body),
        "refund" => refund(text(body, "payment"), body),
        other => panic!("no item is a {other}"),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}"))
}

fn optional<const MAX: usize>(body: &Value, name: &str) -> Text<MAX> {
    assert_ne!(body[name], "", "an empty text is absent");
    Text::new(body[name].as_str().unwrap_or_default()).expect("short")
}

fn id(text: &str) -> CommandId {
    CommandId::parse(text).expect("a UUIDv7")
}

fn account(text: &str) -> AccountId {
    AccountId::parse(text).expect("a UUID")
}

fn amount(body: &Value) -> Option<Amount> {
    body["amount"].as_u64().map(Amount)
}

fn asset(body: &Value) -> Asset {
    Asset::parse(text(body, "asset")).expect("an asset")
}

fn open(body: &Value) -> Command {
    Command::OpenAccount(OpenAccount {
        id: account(text(body, "id")),
        kind: AccountKind::from_name(text(body, "kind")).expect("a kind"),
        asset: asset(body),
        label: optional(body, "label"),
        limits: Limits::default(),
    })
}

fn transfer(body: &Value) -> Command {
    Command::Transfer(Transfer {
        id: id(text(body, "id")),
        debit: account(text(body, "debit")),
        credit: account(text(body, "credit")),
        amount: amount(body).expect("an amount"),
        asset: asset(body),
        kind: TransferKind::from_name(text(body, "kind")).expect("a kind"),
        reference: optional(body, "reference"),
        memo: optional(body, "memo"),
    })
}

fn hold(body: &Value) -> Command {
    Command::Hold(Hold {
        id: id(text(body, "id")),
        debit: account(text(body, "debit")),
        credit: account(text(body, "credit")),
        amount: amount(body).expect("an amount"),
        asset: asset(body),
        expires_in_ms: body["expires_in_ms"].as_u64().expect("a time"),
        memo: optional(body, "memo"),
    })
}

fn capture(hold: &str, body: &Value) -> Command {
    Command::Capture(Capture { id: id(text(body, "id")), hold: id(hold), amount: amount(body) })
}

fn void(hold: &str, body: &Value) -> Command {
    assert!(body.get("amount").is_none(), "a void names no amount");
    Command::Void(Void { id: id(text(body, "id")), hold: id(hold) })
}

fn refund(payment: &str, body: &Value) -> Command {
    Command::Refund(Refund {
        id: id(text(body, "id")),
        payment: id(payment),
        amount: amount(body),
        memo: optional(body, "memo"),
    })
}

/// Decodes the query from a route.
pub(crate) fn query(path: &str) -> (Query, Consistency) {
    let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
    let parameter = |name: &str| {
        let pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(known, _)| *known == name).map(|(_, value)| value).next()
    };
    let consistency = match parameter("consistency") {
        Some("local") => Consistency::Local,
        _ => Consistency::Linearizable,
    };
    let mut parts = path.trim_start_matches("/v1/").split('/');
    let query = match (parts.next(), parts.next(), parts.next()) {
        (Some("totals"), None, _) => Query::Totals,
        (Some("accounts"), Some(id), None) => Query::Account(account(id)),
        (Some("accounts"), Some(id), Some("transfers")) => {
            let number = |text: &str| text.parse().expect("a number");
            let before =
                parameter("cursor").map(|cursor| Cursor { position: number(cursor), command: 0 });
            let limit = parameter("limit").map_or(100, |limit| limit.parse().expect("a number"));
            Query::History { account: account(id), limit, before }
        }
        _ => panic!("the tests don't use {path}"),
    };
    (query, consistency)
}

/// The position and time at which an outcome was decided.
pub(crate) fn answer_json(stamp: &Stamp, outcome: &Outcome) -> Value {
    place(stamp, outcome.index)
}

fn place(stamp: &Stamp, index: u16) -> Value {
    json!({
        "position": stamp.position,
        "index": index,
        "term": stamp.term,
        "recorded_at": "1970-01-01T00:00:00.000001Z",
        "link": blake3::Hash::from_bytes(stamp.link).to_hex().as_str(),
    })
}

fn with(mut value: Value, more: Value) -> Value {
    let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) else {
        panic!("both are objects");
    };
    fields.extend(more);
    value
}

/// Omits absent fields, as the API does.
fn sparse(mut value: Value) -> Value {
    value.as_object_mut().expect("an object").retain(|_, value| !value.is_null() && value != "");
    value
}

pub(crate) fn movement_json(view: &TransferView) -> Value {
    let transfer = &view.transfer;
    let own = sparse(json!({
        "id": transfer.id.to_string(),
        "kind": transfer.kind.name(),
        "debit": transfer.debit.to_string(),
        "credit": transfer.credit.to_string(),
        "amount": transfer.amount.0,
        "asset": transfer.asset.name(),
        "reference": transfer.reference.as_str(),
        "memo": transfer.memo.as_str(),
        "refunded": view.refunded,
        "reversed_by": view.reversed_by.map(|id| id.to_string()),
    }));
    with(own, place(&view.stamp, view.index))
}

pub(crate) fn hold_json(view: &HoldView) -> Value {
    let hold = &view.hold;
    let own = sparse(json!({
        "id": hold.id.to_string(),
        "debit": hold.debit.to_string(),
        "credit": hold.credit.to_string(),
        "amount": hold.amount.0,
        "asset": hold.asset.name(),
        "memo": hold.memo.as_str(),
        "status": view.status.name(),
        "expires_at": "1970-01-01T00:10:00.000001Z",
        "captured": view.captured,
        "closed_by": view.closed_by.map(|id| id.to_string()),
    }));
    with(own, place(&view.stamp, view.index))
}

pub(crate) fn account_json(view: &AccountView, as_of: Option<AsOf>) -> Value {
    let own = json!({
        "id": view.id.to_string(),
        "kind": view.kind.name(),
        "asset": view.asset.name(),
        "label": view.label.as_str(),
        "status": view.status.name(),
        "posted": view.posted,
        "held": view.held,
        "available": view.posted - view.held,
        "limits": {
            "max_balance": view.max_balance,
            "per_transfer": view.per_transfer,
            "daily_debit": view.daily_debit,
        },
        "debited_today": view.debited_today,
        "opened_at": "1970-01-01T00:00:00.000001Z",
        "position": view.position,
    });
    match as_of {
        None => own,
        Some(AsOf { position, age_ms }) => {
            with(own, json!({"as_of": {"position": position, "age_ms": age_ms}}))
        }
    }
}

pub(crate) fn totals_json(totals: &Totals) -> Value {
    let mut assets = json!({});
    for row in &totals.assets {
        assets[row.asset.name()] = json!({
            "wallet": row.wallet,
            "merchant": row.merchant,
            "bank": row.bank,
            "fee": row.fee,
            "issuer": row.issuer,
            "outstanding": row.wallet + row.merchant,
            "sum": 0,
        });
    }
    json!({"position": totals.position, "assets": assets})
}
