//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

mod clocks;
mod copies;
mod data_folder;
mod descriptors;
mod lookups;
mod process;
mod sealing;
mod slow_lines;
mod stopped;
mod strangers;

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;
use process::{ends, environment, lines, messages, panics, pipe, waits};

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[
    ("mend.1", "six batches of repeats from sealed segments beside single transfers"),
    ("mend.2", "a merchant pays back thousands of old payments; /livez answers"),
    ("mend.6", "ten minutes of full load: memory and the unsealed journal stay flat"),
    ("mend.7", "a follower is stopped again and again under load: its disk doesn't hang"),
    ("mend.8", "300 descriptors, 400 idle connections, three segments: nothing stops"),
    ("mend.9", "an unmounted disk is refused, a lost one is refilled"),
    ("mend.10", "the data folder vanishes under a running node"),
    ("mend.11", "strangers at the QUIC ports: stalled handshakes and refused hellos"),
    ("mend.14", "a burst of 60 MiB at a follower over a line of 5 MB a second: all answered"),
    ("mend.17", "a site that can't reach its peers says what it waits for"),
    ("mend.18", "another profile, genesis or cluster is an alarm at both sites"),
    ("mend.19", "a member's impossible appends end their lane, and nothing else"),
    ("mend.20", "a panic planted in each place ends the process with 70"),
    ("mend.21", "a log that nobody reads doesn't hold back payments"),
    ("mend.22", "signals at any moment of a node's life"),
    ("mend.23", "the log's lines: start, crash, stop, lost peers"),
    ("mend.24", "variables that an orchestrator injects don't stop a start"),
    ("mend.25", "a primary's clock steps by two hours: all name it, another site leads"),
    ("mend.26", "a primary's clock gains 50 s a minute: the ledger's time doesn't follow"),
    ("mend.27", "all clocks are set back: time goes on, and the status says how far it's ahead"),
    ("mend.28", "a new cluster's clocks differ: it says so and waits for a majority"),
    ("mend.29", "a follower's disk rolled back under load: found, said on all sites, filled again"),
    ("mend.30", "a follower's disk rolled back and the primary lost: nothing is decided"),
    (
        "mend.31",
        "a clone of a data folder started beside its original: refused, named on all sites",
    ),
    ("mend.32", "a site with committed records that the others forgot: it stops and keeps them"),
];

pub(super) async fn dispatch_row(
    testnet: &Testnet,
    row: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    match row {
        "mend.1" => lookups::ask_again_at_once(testnet, sheet).await,
        "mend.2" => lookups::pay_back_at_once(testnet, sheet).await,
        "mend.6" => sealing::check_flat_memory(testnet, sheet).await,
        "mend.7" => stopped::stop_follower_often(testnet, sheet).await,
        "mend.8" => descriptors::use_up_descriptors(testnet, sheet).await,
        "mend.9" => data_folder::unmount_and_lose(testnet, sheet).await,
        "mend.10" => data_folder::vanish_while_running(testnet, sheet).await,
        "mend.11" => strangers::strangers_at_the_ports(testnet, sheet).await,
        "mend.14" => slow_lines::burst_over_a_slow_line(testnet, sheet).await,
        "mend.17" => waits::check_lonely_sites(testnet, sheet).await,
        "mend.18" => waits::check_differing_sites(testnet, sheet).await,
        "mend.19" => messages::check_impossible_appends(testnet, sheet).await,
        "mend.20" => panics::check_planted_panics(testnet, sheet).await,
        "mend.21" => pipe::check_unread_stderr(testnet, sheet).await,
        "mend.22" => ends::check_signals(testnet, sheet).await,
        "mend.23" => lines::check_log_lines(testnet, sheet).await,
        "mend.24" => environment::check_foreign_variables(testnet, sheet).await,
        "mend.25" => clocks::step_primary(testnet, sheet).await,
        "mend.26" => clocks::drift_primary(testnet, sheet).await,
        "mend.27" => clocks::set_all_back(testnet, sheet).await,
        "mend.28" => clocks::found_with_wrong_clocks(testnet, sheet).await,
        "mend.29" => copies::rolled_back_follower(testnet, sheet).await,
        "mend.30" => copies::rolled_back_and_lost(testnet, sheet).await,
        "mend.31" => copies::twin(testnet, sheet).await,
        "mend.32" => copies::two_histories(testnet, sheet).await,
        _ => bail!("{row} has no function"),
    }
}
