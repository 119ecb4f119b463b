//! The keeper's thread: throttled, and at the lowest priority. Nothing on the road waits for it.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use evenkeel_storage::{
    balances::Checkpoints, disk::Disk, journal::Journal, superblock::FolderWatch,
};
use tokio::sync::watch;

use super::{RunError, spawn_node_thread};
use crate::{
    keeper::{Keeper, ReopenCheckpoints, Rest},
    metrics::KeeperTimes,
    state::AppliedState,
};

/// The keeper of a running node, with throttled writes.
pub(crate) fn keeper(
    state: &Arc<AppliedState>,
    journal: &Journal,
    disk: &Arc<dyn Disk>,
    checkpoints: Box<dyn Checkpoints>,
    reopen: ReopenCheckpoints,
    times: Arc<KeeperTimes>,
) -> Keeper {
    let history = state.history().clone();
    let pace = Box::new(throttle_writes);
    let (journal, disk) = (journal.clone(), disk.clone());
    Keeper::new(state.clone(), history, journal, disk, checkpoints, reopen, pace).counting_in(times)
}

/// Limits background writes to 64 MB/s.
fn throttle_writes(bytes: usize) {
    thread::sleep(Duration::from_micros(u64::try_from(bytes / 64).unwrap_or(0)));
}

/// Runs the keeper's turns until the node stops.
pub(crate) fn spawn_keeper(
    mut keeper: Keeper,
    state: &Arc<AppliedState>,
    folder: FolderWatch,
    stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, RunError> {
    let state = state.clone();
    spawn_node_thread("keeper", move || {
        lower_priority();
        while !*stopping.borrow() {
            if folder.is_gone() {
                return state.fail(FOLDER_GONE);
            }
            let rest = match keeper.run_turn() {
                Ok(Rest::For(rest)) => rest,
                Ok(Rest::Idle) => Duration::from_millis(200),
                Err(why) => return state.fail(&why),
            };
            thread::sleep(rest);
        }
    })
}

/// Why a node stops whose folder isn't there any more.
const FOLDER_GONE: &str = "the data folder is gone, or another one is in its place: was its disk unmounted, or the folder moved? \
                           What was acknowledged is on the old disk; bring it back, and start again";

/// The keeper must never delay the road.
fn lower_priority() {
    let own = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(own), 19) {
        tracing::warn!(%error, "the keeper runs at normal priority");
    }
}
