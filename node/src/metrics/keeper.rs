//! What the keeper's work costs: the CPU time of its thread, by kind of work, each in a family of
//! its own. It never slows the keeper.

use std::time::Duration;

use prometheus::Counter;
use rustix::time::{ClockId, clock_gettime};

use super::families::Families;

/// A kind of the keeper's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperWork {
    /// The recent index, and the index of a segment that is to be sealed or was damaged.
    Index,
    /// Footers of segments.
    Seal,
    /// Checkpoints of the balances, without sled's own thread.
    Checkpoint,
    /// Sums and digests of the ledger's rows.
    Audit,
    /// Sealed segments and indexes, read back.
    Scrub,
}

/// The families of the keeper's CPU time.
#[derive(Debug)]
pub struct KeeperTimes {
    index: Counter,
    seal: Counter,
    checkpoint: Counter,
    audit: Counter,
    scrub: Counter,
}

impl KeeperTimes {
    pub(crate) fn new(families: &Families) -> Self {
        let counter = |name, help| families.seconds_counter(name, help);
        Self {
            index: counter(
                "keeper_index_cpu_seconds_total",
                "CPU time that the keeper has used to index what was applied.",
            ),
            seal: counter(
                "keeper_seal_cpu_seconds_total",
                "CPU time that the keeper has used to seal segments.",
            ),
            checkpoint: counter(
                "keeper_checkpoint_cpu_seconds_total",
                "CPU time that the keeper has used to copy rows for checkpoints.",
            ),
            audit: counter(
                "keeper_audit_cpu_seconds_total",
                "CPU time that the keeper has used to compare the ledger's rows with its sums.",
            ),
            scrub: counter(
                "keeper_scrub_cpu_seconds_total",
                "CPU time that the keeper has used to read sealed segments and indexes back.",
            ),
        }
    }

    /// Families that nobody scrapes.
    #[must_use]
    pub fn unscraped() -> Self {
        Self::new(&Families::new())
    }

    /// Does a piece of work on this thread and counts its CPU time, which is returned, too.
    pub(crate) fn measure<T>(&self, work: KeeperWork, act: impl FnOnce() -> T) -> (T, Duration) {
        let before = thread_cpu_time();
        let done = act();
        let took = thread_cpu_time().saturating_sub(before);
        let counter = match work {
            KeeperWork::Index => &self.index,
            KeeperWork::Seal => &self.seal,
            KeeperWork::Checkpoint => &self.checkpoint,
            KeeperWork::Audit => &self.audit,
            KeeperWork::Scrub => &self.scrub,
        };
        counter.inc_by(took.as_secs_f64());
        (done, took)
    }
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}
