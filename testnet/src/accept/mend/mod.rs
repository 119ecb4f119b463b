//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

mod lines;
mod lookups;
mod strangers;

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[
    ("mend.1", "six batches of repeats from sealed segments beside single transfers"),
    ("mend.2", "a merchant pays back thousands of old payments; /livez answers"),
    ("mend.11", "strangers at the QUIC ports: stalled handshakes and refused hellos"),
    ("mend.14", "a burst of 60 MiB at a follower over a line of 5 MB a second: all answered"),
];

pub(super) async fn dispatch_row(
    testnet: &Testnet,
    row: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    match row {
        "mend.1" => lookups::ask_again_at_once(testnet, sheet).await,
        "mend.2" => lookups::pay_back_at_once(testnet, sheet).await,
        "mend.11" => strangers::strangers_at_the_ports(testnet, sheet).await,
        "mend.14" => lines::burst_over_a_slow_line(testnet, sheet).await,
        _ => bail!("{row} has no function"),
    }
}
