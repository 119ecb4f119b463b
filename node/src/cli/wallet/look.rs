//! Verbs that only look: an account as it stands, and its transfers.

use evenkeel_wire::{
    client::Client,
    limits::HISTORY_PAGE_MAX,
    reply::{AccountView, AsOf, TransferView, View, ViewReply},
    request::{Consistency, Query},
};
use serde_json::{Value, json};

use super::{History, Show, report::transfer_json};
use crate::{
    cli::{Failure, door::no_answer, output},
    clock::rfc3339,
};

pub(super) async fn show(client: &Client, show: &Show, json: bool) -> Result<(), Failure> {
    let consistency = if show.local { Consistency::Local } else { Consistency::Linearizable };
    let query = Query::Account(show.account);
    let read = match &show.site {
        Some(site) => client.read_at(site, query, consistency).await,
        None => client.read(query, consistency).await,
    };
    let ViewReply { view, as_of, .. } = read.map_err(|error| no_answer(&error))?;
    let View::Account(account) = view else {
        return Err(Failure::failed("the site answered something else than an account"));
    };
    if json { output::print_json(&account_json(&account, as_of)) } else { print(&account, as_of) }
}

fn print(account: &AccountView, as_of: Option<AsOf>) -> Result<(), Failure> {
    let AccountView { id, kind, asset, label, posted, position, .. } = account;
    let label = if label.as_str().is_empty() { String::new() } else { format!(" ({label})") };
    let limit = account.max_balance.map_or_else(String::new, |limit| format!(", at most {limit}"));
    let age = match as_of {
        None => format!("as of position {position}"),
        Some(AsOf { position, age_ms }) => {
            format!("as of position {position}, {age_ms} ms after this site was last known current")
        }
    };
    output::print(&format!("{kind} {id}{label}: {posted} {asset}{limit}; {age}"))
}

fn account_json(account: &AccountView, as_of: Option<AsOf>) -> Value {
    let mut value = json!({
        "id": account.id.to_string(),
        "kind": account.kind.name(),
        "asset": account.asset.name(),
        "label": account.label.as_str(),
        "posted": account.posted,
        "limits": {"max_balance": account.max_balance},
        "opened_at": rfc3339(account.opened_at),
        "position": account.position,
    });
    if let (Some(as_of), Some(fields)) = (as_of, value.as_object_mut()) {
        fields.insert(
            "as_of".to_owned(),
            json!({"position": as_of.position, "age_ms": as_of.age_ms}),
        );
    }
    value
}

pub(super) async fn history(client: &Client, wanted: &History, json: bool) -> Result<(), Failure> {
    let mut items: Vec<TransferView> = Vec::new();
    let mut before = None;
    loop {
        let had = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let limit = wanted.limit.saturating_sub(had).min(HISTORY_PAGE_MAX);
        let query = Query::History { account: wanted.account, limit, before };
        let reply = client
            .read(query, Consistency::Linearizable)
            .await
            .map_err(|error| no_answer(&error))?;
        let View::History(page) = reply.view else {
            return Err(Failure::failed("the site answered something else than a history"));
        };
        let came = page.items.len();
        items.extend(page.items);
        before = page.next;
        let enough = u32::try_from(items.len()).unwrap_or(u32::MAX) >= wanted.limit;
        if enough || before.is_none() || came == 0 {
            break;
        }
    }
    if json {
        let items: Vec<Value> = items.iter().map(transfer_view_json).collect();
        return output::print_json(&json!({
            "items": items,
            "more": before.is_some(),
        }));
    }
    let rows: Vec<Vec<String>> = items.iter().map(|item| row(wanted, item)).collect();
    output::print(&output::table(&["time", "kind", "amount", "asset", "with", "id", "memo"], &rows))
}

fn row(wanted: &History, item: &TransferView) -> Vec<String> {
    let transfer = &item.transfer;
    let out = transfer.debit == wanted.account;
    let (sign, with) = if out { ("-", transfer.credit) } else { ("", transfer.debit) };
    vec![
        rfc3339(item.stamp.recorded_at),
        transfer.kind.name().to_owned(),
        format!("{sign}{}", transfer.amount),
        transfer.asset.name().to_owned(),
        with.to_string(),
        transfer.id.to_string(),
        transfer.memo.as_str().to_owned(),
    ]
}

fn transfer_view_json(item: &TransferView) -> Value {
    let mut fields = transfer_json(&item.transfer);
    let stamp = &item.stamp;
    fields.insert("position".to_owned(), stamp.position.into());
    fields.insert("index".to_owned(), item.index.into());
    fields.insert("term".to_owned(), stamp.term.into());
    fields.insert("recorded_at".to_owned(), rfc3339(stamp.recorded_at).into());
    let link = blake3::Hash::from_bytes(stamp.link).to_hex();
    fields.insert("link".to_owned(), link.as_str().into());
    Value::Object(fields)
}
