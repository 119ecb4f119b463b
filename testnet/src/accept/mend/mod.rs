//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[];

pub(super) async fn dispatch_row(
    _testnet: &Testnet,
    row: &str,
    _sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    bail!("{row} has no function")
}
