//! A copy that began empty elects nobody until it has caught up.
//!
//! A node whose disk was lost may have acknowledged records and given votes that it no longer remembers. So an empty data
//! folder gets a marker; while it's there, the node votes only in the very first election of a cluster, where nobody has any
//! commands yet. The marker goes when the node holds, durably, everything that the primary called committed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use evenkeel_storage::disk::Disk;

/// The newest record of a cluster that has decided nothing: the first membership.
const FOUNDING_POSITION: u64 = 0;

/// Whether this copy may elect.
pub struct Joining {
    disk: Arc<dyn Disk>,
    marker: PathBuf,
    joining: AtomicBool,
}

impl Joining {
    /// Looks at the data folder; `empty`: its journal has no record.
    ///
    /// # Errors
    /// When the marker can't be written.
    pub fn open(disk: Arc<dyn Disk>, data: &Path, empty: bool) -> io::Result<Self> {
        let marker = data.join("joining");
        let name = "joining".to_owned();
        let mut joining = disk.list(data)?.contains(&name);
        if empty && !joining {
            disk.create(&marker)?.sync_data()?;
            disk.sync_folder(data)?;
            joining = true;
        }
        Ok(Self { disk, marker, joining: AtomicBool::new(joining) })
    }

    /// Whether the copy still has to catch up.
    pub fn is_joining(&self) -> bool {
        self.joining.load(Ordering::Acquire)
    }

    /// Whether a candidate whose newest record is at `last` may get this node's vote.
    pub fn may_vote_for(&self, last: Option<u64>) -> bool {
        !self.is_joining() || last.is_none_or(|last| last == FOUNDING_POSITION)
    }

    /// The copy holds durably all that was committed: from now on it elects like any other.
    ///
    /// # Errors
    /// When the marker can't be removed durably.
    pub fn caught_up(&self) -> io::Result<()> {
        if self.is_joining() {
            self.disk.remove(&self.marker)?;
            let folder = self.marker.parent().expect("the marker lies in the data folder");
            self.disk.sync_folder(folder)?;
            self.joining.store(false, Ordering::Release);
        }
        Ok(())
    }
}
