//! `accept main.g`: runs one acceptance row on real processes.
//!
//! Each row prints its figures with their bounds, then pass or FAIL. Every row wipes the testnet
//! first. Rows never report a result that wasn't observed.

pub(crate) mod main;
mod mend;
mod sheet;
mod stage;
mod wallet;

use anyhow::bail;

use crate::{
    cluster::testnet::{Testnet, UsageError},
    output::{print_line, print_progress},
};
use sheet::ResultSheet;

/// The rows of the main job and of the wallet: name and title.
const ROWS: &[(&str, &str)] = &[
    ("main.a", "the demo: nothing lost, RTO measured, heads and digests equal"),
    ("main.b", "20 kills of the primary under load"),
    ("main.c", "all three killed at once under load"),
    ("main.d", "the primary cut off: both ways, only in, only out"),
    ("main.e", "the primary paused for 10 s: no stale read, nothing twice"),
    ("main.f", "a planned switchover under load"),
    ("main.g", "one of three down, then two of three"),
    ("main.h", "balances deleted, then damaged: rebuilt from the journal"),
    ("main.i", "one byte of a sealed segment flipped"),
    ("main.j", "throughput in large batches"),
    ("main.k", "single transfers from 1, 64 and 1,024 callers"),
    ("main.l", "what is on disk before an answer, by strace; nodes on tmpfs"),
    ("main.m", "a planted leak of one unit, a flipped bit in balances"),
    ("main.n", "memory, disk and start after 2 million transfers"),
    ("main.input", "bad input at every door: clear errors, and nothing lost"),
    ("main.index", "an index damaged while its node runs"),
    ("main.disk", "full disks: a follower's, the primary's, all three"),
    ("wallet.a", "a fuzzer driven by the OpenAPI document finds nothing that isn't in it"),
    ("wallet.b", "100,000 commands of every kind and five kills: one effect for each id"),
    ("wallet.c", "refunds, captures, voids and expiries race: exactly one wins"),
    ("wallet.d", "the day is closed every second for a minute under load"),
    ("wallet.e", "events from three nodes across two failovers: one sequence"),
    ("wallet.f", "roles, revoked keys, foreign keys"),
    ("wallet.g", "single transfers over HTTP from 64 connections"),
    ("wallet.h", "malformed bodies"),
    ("wallet.history", "a million entries of one account, page by page"),
    ("wallet.pages", "the shell blocks of README and docs/API.md, unchanged"),
];

fn all_rows() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    ROWS.iter().chain(mend::ROWS)
}

/// Prints the names and titles of all rows.
pub fn print_rows() {
    for (name, what) in all_rows() {
        print_line(&format!("{name:<15} {what}"));
    }
}

/// Runs a row and prints its results.
///
/// # Errors
/// When the row can't be completed, or a claim doesn't hold.
pub async fn run(testnet: &Testnet, row: &str) -> anyhow::Result<()> {
    let Some((name, what)) = all_rows().find(|(name, _)| *name == row) else {
        let unknown = format!("no row is called {row}; `scripts/accept --list` names them all");
        return Err(UsageError(unknown).into());
    };
    print_line(&format!("{name}  {what}"));
    print_progress(&format!("{name}: {what}"));
    let mut sheet = ResultSheet::default();
    let ended = Box::pin(dispatch_row(testnet, row, &mut sheet)).await;
    if let Err(error) = &ended {
        sheet.record_claim(format!("aborted: {error:#}"), false);
    }
    if !sheet.print(name) {
        bail!("{name} doesn't hold");
    }
    Ok(())
}

async fn dispatch_row(testnet: &Testnet, row: &str, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    match row {
        "main.a" => main::crash::demo(testnet, sheet).await,
        "main.b" => main::crash::twenty_rounds(testnet, sheet).await,
        "main.c" => main::crash::kill_all_at_once(testnet, sheet).await,
        "main.d" => main::cuts::cut_all_directions(testnet, sheet).await,
        "main.e" => main::pause::pause_primary(testnet, sheet).await,
        "main.f" => main::handover::switchover(testnet, sheet).await,
        "main.g" => main::minority::lose_one_then_two(testnet, sheet).await,
        "main.h" => main::damage::damage_balances(testnet, sheet).await,
        "main.i" => main::damage::damage_sealed_segment(testnet, sheet).await,
        "main.j" => main::speed::large_batches(testnet, sheet).await,
        "main.k" => main::speed::single_transfers(testnet, sheet).await,
        "main.l" => main::durability::check_traced(testnet, sheet).await,
        "main.m" => main::planted::check_planted_bugs(testnet, sheet).await,
        "main.n" => main::footprint::after_two_million(testnet, sheet).await,
        "wallet.a" => wallet::fuzzed::fuzz_documented_api(testnet, sheet).await,
        "wallet.b" => wallet::exactly_once::five_kills(testnet, sheet).await,
        "wallet.c" => wallet::races::run_thousand_each(testnet, sheet).await,
        "wallet.d" => wallet::day::every_second(testnet, sheet).await,
        "wallet.e" => wallet::events::three_readers(testnet, sheet).await,
        "wallet.f" => wallet::roles::check_role_table(testnet, sheet).await,
        "wallet.g" => wallet::speed::keep_alive(testnet, sheet).await,
        "wallet.h" => wallet::bodies::check_bad_bodies(testnet, sheet).await,
        "wallet.history" => wallet::history::million_entries(testnet, sheet).await,
        "wallet.pages" => wallet::pages::check_page_blocks(testnet, sheet).await,
        "main.index" => main::index::check_damaged_index(testnet, sheet).await,
        "main.disk" => main::disk::check_full_disks(testnet, sheet).await,
        "main.input" => main::input::at_every_door(testnet, sheet).await,
        other => mend::dispatch_row(testnet, other, sheet).await,
    }
}
