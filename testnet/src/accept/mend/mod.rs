//! The rows `mend.*`: faults that once stopped a site or the cluster, on real processes. A file
//! holds the rows of one kind of fault.

mod data_folder;
mod descriptors;
mod sealing;
mod stopped;

use anyhow::bail;

use super::sheet::ResultSheet;
use crate::cluster::testnet::Testnet;

/// Name and title of each row.
pub(super) const ROWS: &[(&str, &str)] = &[
    ("mend.6", "ten minutes of full load: memory and the unsealed journal stay flat"),
    ("mend.7", "a follower is stopped again and again under load: its disk doesn't hang"),
    ("mend.8", "300 descriptors, 400 idle connections, three segments: nothing stops"),
    ("mend.9", "an unmounted disk is refused, a lost one is refilled"),
    ("mend.10", "the data folder vanishes under a running node"),
];

pub(super) async fn dispatch_row(
    testnet: &Testnet,
    row: &str,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    match row {
        "mend.6" => sealing::check_flat_memory(testnet, sheet).await,
        "mend.7" => stopped::stop_follower_often(testnet, sheet).await,
        "mend.8" => descriptors::use_up_descriptors(testnet, sheet).await,
        "mend.9" => data_folder::unmount_and_lose(testnet, sheet).await,
        "mend.10" => data_folder::vanish_while_running(testnet, sheet).await,
        _ => bail!("{row} has no function"),
    }
}
