//! Text and tables of the admin socket's answers.

use std::fmt::Write;

use serde_json::Value;

use crate::output::{cell, table};
use evenkeel_node::operator::status::{ClosedDay, JournalEntry, PeerStatus, Status, Switchover};
use evenkeel_node::telemetry::timeline::TimelineEvent;

pub(crate) fn status(status: &Status) -> String {
    let primary = status.primary.as_ref().map_or_else(
        || "unknown".to_owned(),
        |primary| format!("{} (node {})", primary.site, primary.node),
    );
    let digest = status.digests.last().map_or_else(
        || "-".to_owned(),
        |digest| format!("{} at {}", digest.digest, digest.position),
    );
    let rows = [
        ("site", format!("{} (node {})", status.site, status.node)),
        ("cluster", status.cluster.clone()),
        ("role", format!("{} in term {}", status.role, status.term)),
        ("primary", primary),
        ("ready", if status.ready { "yes" } else { "no" }.to_owned()),
        (
            "positions",
            format!(
                "committed {}, applied {}, flushed {}",
                cell(status.committed),
                cell(status.applied),
                cell(status.flushed)
            ),
        ),
        ("chain head", cell(status.chain_head.as_ref())),
        ("digest", digest),
        ("business day", cell(status.business_date.as_ref())),
        ("ledger time", ledger_time(status.ledger_ahead_ms)),
        ("version", format!("{}, up {} s", status.version, status.uptime_s)),
    ];
    let waits = status.waits_for.iter().map(|why| ("waits for", why.clone()));
    let mut text = String::new();
    for (name, value) in rows.into_iter().chain(waits) {
        writeln!(text, "{name:<13} {value}").expect("writing to memory can't fail");
    }
    if status.peers.is_empty() {
        return text.trim_end().to_owned();
    }
    text + "\n" + &peers(&status.peers)
}

fn ledger_time(ahead_ms: u64) -> String {
    if ahead_ms == 0 {
        "not ahead of the clocks".to_owned()
    } else {
        format!("{ahead_ms} ms ahead of the clocks")
    }
}

pub(crate) fn peers(peers: &[PeerStatus]) -> String {
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            vec![
                peer.site.clone(),
                peer.node.to_string(),
                if peer.reachable { "yes" } else { "no" }.to_owned(),
                cell(peer.matched),
                cell(peer.lag),
                cell(peer.last_heard_ms),
                cell(peer.rtt_ms.map(|rtt| format!("{rtt:.2}"))),
                cell(peer.clock_offset_ms),
            ]
        })
        .collect();
    let head = ["peer", "node", "reachable", "matched", "lag", "heard ms", "rtt ms", "clock ms"];
    let mut lines = vec![table(&head, &rows)];
    for peer in peers {
        lines.extend(peer.error.iter().map(|error| format!("{}: {error}", peer.site)));
        lines.extend(peer.differs.iter().map(|what| format!("{} differs: {what}", peer.site)));
    }
    lines.join("\n")
}

pub(crate) fn journal(entries: &[JournalEntry]) -> String {
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.position.to_string(),
                entry.term.to_string(),
                cell(entry.time.as_ref()),
                entry.kind.clone(),
                entry.commands.to_string(),
                entry.bytes.to_string(),
                entry.link.clone(),
            ]
        })
        .collect();
    table(&["position", "term", "time", "kind", "commands", "bytes", "link"], &rows)
}

pub(crate) fn timeline(events: &[TimelineEvent]) -> String {
    let lines: Vec<String> = events
        .iter()
        .map(|event| {
            let mut line = format!("{}  {}", event.time, event.event);
            for (name, value) in &event.details {
                let value = match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                write!(line, "  {name}={value}").expect("writing to memory can't fail");
            }
            line
        })
        .collect();
    lines.join("\n")
}

pub(crate) fn switchover(done: &Switchover) -> String {
    let Switchover { from, to, term, pause_ms } = done;
    format!(
        "{to} is primary in term {term} in place of {from}; commits paused for {pause_ms:.1} ms"
    )
}

pub(crate) fn closed(day: &ClosedDay) -> String {
    let ClosedDay { date, next, position, .. } = day;
    format!("{date} is closed and {next} is open; the day marker is at position {position}")
}
