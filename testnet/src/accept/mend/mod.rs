//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

mod copies;

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[
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
        "mend.29" => copies::rolled_back_follower(testnet, sheet).await,
        "mend.30" => copies::rolled_back_and_lost(testnet, sheet).await,
        "mend.31" => copies::twin(testnet, sheet).await,
        "mend.32" => copies::two_histories(testnet, sheet).await,
        _ => bail!("{row} has no function"),
    }
}
