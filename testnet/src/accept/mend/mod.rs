//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

mod clocks;

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[
    ("mend.25", "a primary's clock steps by two hours: all name it, another site leads"),
    ("mend.26", "a primary's clock gains 50 s a minute: the ledger's time doesn't follow"),
    ("mend.27", "all clocks are set back: time goes on, and the status says how far it's ahead"),
    ("mend.28", "a new cluster's clocks differ: it says so and waits for a majority"),
];

pub(super) async fn dispatch_row(
    testnet: &Testnet,
    row: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    match row {
        "mend.25" => clocks::step_primary(testnet, sheet).await,
        "mend.26" => clocks::drift_primary(testnet, sheet).await,
        "mend.27" => clocks::set_all_back(testnet, sheet).await,
        "mend.28" => clocks::found_with_wrong_clocks(testnet, sheet).await,
        _ => bail!("{row} has no function"),
    }
}
