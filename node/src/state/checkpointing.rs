//! When a checkpoint of the ledger begins, and how the last ones ended. It never writes one; the
//! keeper does.

use bytes::Bytes;

use super::{AppliedState, Inner, LogPosition};
use evenkeel_ledger::{CheckpointHead, EntryHead};

/// The result of checkpoints, for metrics and health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStatus {
    /// The newest one that was finished, or that this start loaded.
    pub newest: Option<CheckpointPosition>,
    begun: Option<CheckpointPosition>,
    /// Abandoned checkpoints.
    pub failures: u64,
}

/// The position and time of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPosition {
    pub position: u64,
    /// The ledger's time there, microseconds since the Unix epoch.
    pub time: u64,
}

/// A checkpoint whose rows wait to be copied.
#[derive(Debug)]
pub struct BegunCheckpoint {
    pub head: CheckpointHead,
    /// The newest membership record at that position.
    pub membership: Option<(LogPosition, Bytes)>,
}

impl AppliedState {
    /// A checkpoint holds the state before a segment's first entry: then every later entry is in a
    /// segment that isn't sealed, and a start finds every outcome either there or in an index.
    pub(crate) fn begin_checkpoint_at_boundary(&self, inner: &mut Inner, head: &EntryHead) {
        if inner.checkpoint_busy || head.position == 0 || head.position < inner.checkpoint_from {
            return;
        }
        if self.journal.begins_segment(head.position)
            && let Some(begun) = inner.ledger.checkpoint_begin(false)
        {
            let time = inner.ledger.time();
            inner.checkpoints.begun =
                Some(CheckpointPosition { position: begun.marker.position, time });
            inner.begun =
                Some(BegunCheckpoint { head: begun, membership: inner.membership.clone() });
            inner.checkpoint_busy = true;
        }
    }

    /// Skips checkpoints before this position: while replaying, only the newest one is worth
    /// writing.
    pub fn checkpoint_only_from(&self, position: u64) {
        self.lock_inner().checkpoint_from = position;
    }

    /// Takes the checkpoint that was begun and waits to be written.
    pub fn take_begun_checkpoint(&self) -> Option<BegunCheckpoint> {
        self.lock_inner().begun.take()
    }

    /// Records that the checkpoint was written or abandoned.
    pub fn end_checkpoint(&self, written: bool) {
        let mut inner = self.lock_inner();
        inner.ledger.checkpoint_end(written);
        inner.checkpoint_busy = false;
        let begun = inner.checkpoints.begun.take();
        if written {
            inner.checkpoints.newest = begun.or(inner.checkpoints.newest);
        } else {
            inner.checkpoints.failures += 1;
        }
    }

    /// Records that the ledger was loaded from a checkpoint and nothing was applied since.
    pub fn record_loaded_checkpoint(&self) {
        let mut inner = self.lock_inner();
        let time = inner.ledger.time();
        let position = inner.ledger.position();
        inner.checkpoints.newest = position.map(|position| CheckpointPosition { position, time });
    }

    /// The result of checkpoints so far.
    pub fn checkpoint_status(&self) -> CheckpointStatus {
        self.lock_inner().checkpoints
    }
}
