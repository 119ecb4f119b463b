//! `status`: a table of all sites, from their admin sockets, processes and the relay.

use evenkeel_node::operator::status::Status;

use super::{site::Site, testnet::Testnet};
use crate::{
    output::{print_line, print_progress},
    relay::{Cut, RelayState},
};

const HEAD: [&str; 10] = [
    "SITE",
    "NODE",
    "PROCESS",
    "ROLE",
    "TERM",
    "PRIMARY",
    "COMMITTED",
    "APPLIED",
    "READY",
    "CHAIN HEAD",
];

/// Prints the table.
///
/// # Errors
/// When the testnet isn't set up.
pub async fn print(testnet: &Testnet) -> anyhow::Result<()> {
    let made = testnet.demand_setup_marker()?;
    let relay = testnet.relay_state();
    let statuses = testnet.statuses().await;
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for (site, status) in testnet.sites.iter().zip(&statuses) {
        rows.push(row(testnet, site, status.as_ref().ok()));
    }
    for line in aligned(&rows) {
        print_line(&line);
    }
    match relay {
        Some(state) => print_line(&links(testnet, &state)),
        None if made.direct => print_line("links: direct, without the relay"),
        None => print_progress("the relay isn't running"),
    }
    Ok(())
}

fn row(testnet: &Testnet, site: &Site, status: Option<&Status>) -> Vec<String> {
    let process = match testnet.node_process(site) {
        None => "down".to_owned(),
        Some(process) if process.is_paused() => format!("{} paused", process.pid()),
        Some(process) => process.pid().to_string(),
    };
    let mut row = vec![site.name.clone(), site.node.to_string(), process];
    let Some(status) = status else {
        row.resize(HEAD.len(), "-".to_owned());
        return row;
    };
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let head = status.chain_head.as_deref().unwrap_or("-");
    row.extend([
        status.role.to_string(),
        status.term.to_string(),
        status.primary.as_ref().map_or("-".to_owned(), |primary| primary.site.clone()),
        number(status.committed),
        number(status.applied),
        if status.ready { "yes" } else { "no" }.to_owned(),
        head.chars().take(16).collect(),
    ]);
    row
}

fn links(testnet: &Testnet, state: &RelayState) -> String {
    let link = state.rules.link;
    let mut text = format!(
        "links: rtt {} ms, jitter {} ms, loss {} ppm",
        link.rtt_ms, link.jitter_ms, link.loss_ppm
    );
    for (node, cut) in &state.rules.cuts {
        let site = testnet.sites.iter().find(|site| site.node == *node);
        let name = site.map_or("an unknown node", |site| site.name.as_str());
        let how = match cut {
            Cut { incoming: true, outgoing: true } => "both ways",
            Cut { incoming: true, .. } => "in",
            _ => "out",
        };
        text.push_str(&format!("; {name} is cut {how}"));
    }
    text
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
