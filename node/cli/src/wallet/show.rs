//! Verbs that only read: an account, and its transfers.

use evenkeel_wire::limits::HISTORY_PAGE_MAX;
use serde_json::json;

use super::{HistoryArgs, ShowArgs, WalletContext};
use crate::{
    Failure,
    door::{
        ReadSource, no_answer,
        shapes::{Account, AsOfJson, Movement},
    },
    output,
};

pub(crate) async fn show_account(
    asking: WalletContext<'_>,
    show: &ShowArgs,
) -> Result<(), Failure> {
    let site = show.site.as_deref();
    let look = if show.local { ReadSource::Local(site) } else { ReadSource::Current(site) };
    let account =
        asking.door.account(show.account, look).await.map_err(|error| no_answer(&error))?;
    if asking.json {
        output::print_json(&account)
    } else {
        output::print(&describe_account(&account))
    }
}

fn describe_account(account: &Account) -> String {
    let Account { id, kind, asset, label, status, posted, held, available, .. } = account;
    let label = if label.is_empty() { String::new() } else { format!(" ({label})") };
    let age = match account.as_of {
        None => format!("as of position {}", account.position),
        Some(AsOfJson { position, age_ms }) => {
            format!("as of position {position}, confirmed current {age_ms} ms ago")
        }
    };
    let mut lines = vec![
        format!("{kind} {id}{label}, {status}"),
        format!("  {posted} {asset} posted, {held} held, {available} available"),
    ];
    let limits = [
        ("holds at most", account.limits.max_balance),
        ("pays at most", account.limits.per_transfer),
        ("pays a day at most", account.limits.daily_debit),
    ];
    let limits: Vec<String> =
        limits.into_iter().filter_map(|(what, limit)| Some(format!("{what} {}", limit?))).collect();
    if !limits.is_empty() {
        lines.push(format!("  {}", limits.join(", ")));
    }
    lines.push(format!("  {} debited today; {age}", account.debited_today));
    lines.join("\n")
}

pub(crate) async fn show_history(
    asking: WalletContext<'_>,
    wanted: &HistoryArgs,
) -> Result<(), Failure> {
    let mut items: Vec<Movement> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let had = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let limit = wanted.limit.saturating_sub(had).min(HISTORY_PAGE_MAX);
        let page = asking
            .door
            .history(wanted.account, limit, cursor.as_deref())
            .await
            .map_err(|error| no_answer(&error))?;
        let came = page.items.len();
        items.extend(page.items);
        cursor = page.next_cursor;
        let enough = u32::try_from(items.len()).unwrap_or(u32::MAX) >= wanted.limit;
        if enough || cursor.is_none() || came == 0 {
            break;
        }
    }
    if asking.json {
        return output::print_json(&json!({"items": items, "more": cursor.is_some()}));
    }
    let account = wanted.account.to_string();
    let rows: Vec<Vec<String>> = items.iter().map(|item| row(&account, item)).collect();
    let head = ["time", "kind", "amount", "asset", "with", "id", "undone", "memo"];
    output::print(&output::table(&head, &rows))
}

fn row(account: &str, item: &Movement) -> Vec<String> {
    let out = item.debit == account;
    let (sign, with) = if out { ("-", &item.credit) } else { ("", &item.debit) };
    let undone = match (item.refunded, &item.reversed_by) {
        (_, Some(reversal)) => format!("by {reversal}"),
        (Some(refunded), None) if refunded > 0 => format!("{refunded} refunded"),
        (_, None) => "-".to_owned(),
    };
    vec![
        item.place.recorded_at.clone(),
        item.kind.clone(),
        format!("{sign}{}", item.amount),
        item.asset.clone(),
        with.clone(),
        item.id.clone(),
        undone,
        item.memo.clone().unwrap_or_default(),
    ]
}
