//! Figures of the running load: counts of acknowledgements, the longest gap between them, and the
//! first one after a fault.
//!
//! Times are microseconds since the monitor was made.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use tokio::time::Instant;

const NEVER: u64 = u64::MAX;

/// How the commands ended so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Answered by the ledger, rejections included.
    pub acknowledged: u64,
    /// How many of the acknowledged ones were rejected.
    pub rejected: u64,
    /// Without an answer: they may have happened.
    pub unknown: u64,
    /// Certainly not done.
    pub unavailable: u64,
    /// Refused as invalid: there must be none.
    pub refused: u64,
}

/// The figures, updated by all callers.
#[derive(Debug)]
pub struct LoadMonitor {
    start: Instant,
    held: AtomicBool,
    ended: AtomicBool,
    under_way: AtomicU64,
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    unknown: AtomicU64,
    unavailable: AtomicU64,
    refused: AtomicU64,
    last: AtomicU64,
    longest_gap: AtomicU64,
    t0: AtomicU64,
    mark: AtomicU64,
    first_after_fault: AtomicU64,
}

/// How one command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandEnd {
    Acknowledged { rejected: bool },
    Unknown,
    Unavailable,
    Refused,
}

impl LoadMonitor {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            held: AtomicBool::new(true),
            ended: AtomicBool::new(false),
            under_way: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last: AtomicU64::new(0),
            longest_gap: AtomicU64::new(0),
            t0: AtomicU64::new(0),
            mark: AtomicU64::new(NEVER),
            first_after_fault: AtomicU64::new(NEVER),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("no run lasts that long")
    }

    pub(crate) fn hold(&self) {
        self.held.store(true, SeqCst);
    }

    pub(crate) fn release(&self) {
        self.last.store(self.now(), SeqCst);
        self.held.store(false, SeqCst);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(SeqCst)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, SeqCst);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.under_way.load(SeqCst)
    }

    /// Counts a command that is about to be sent; gives the time, for [`Self::end_command`].
    /// `None`: the load is paused or has ended, and nothing may be sent.
    pub(crate) fn begin_command(&self) -> Option<u64> {
        self.under_way.fetch_add(1, SeqCst);
        // Counted first: a pause that sees nothing under way can't miss this one.
        if self.is_held() || self.has_ended() {
            self.under_way.fetch_sub(1, SeqCst);
            return None;
        }
        Some(self.now())
    }

    pub(crate) fn end_command(&self, sent: u64, end: CommandEnd) {
        let count = match end {
            CommandEnd::Acknowledged { rejected } => {
                self.record_answer(sent);
                if rejected {
                    self.rejected.fetch_add(1, SeqCst);
                }
                &self.acknowledged
            }
            CommandEnd::Unknown => &self.unknown,
            CommandEnd::Unavailable => &self.unavailable,
            CommandEnd::Refused => &self.refused,
        };
        count.fetch_add(1, SeqCst);
        self.under_way.fetch_sub(1, SeqCst);
    }

    fn record_answer(&self, sent: u64) {
        let now = self.now();
        let gap = now.saturating_sub(self.last.swap(now, SeqCst));
        self.longest_gap.fetch_max(gap, SeqCst);
        if sent > self.mark.load(SeqCst) {
            self.first_after_fault.fetch_min(now, SeqCst);
        }
    }

    /// Injects a fault. t0 is just before it; from its end on, the monitor looks for the first
    /// acknowledgement of a command that is sent later, and for the longest gap.
    pub fn inject_fault<T>(&self, harm: impl FnOnce() -> T) -> T {
        let t0 = self.now();
        let done = harm();
        self.mark.store(NEVER, SeqCst);
        self.t0.store(t0, SeqCst);
        self.first_after_fault.store(NEVER, SeqCst);
        self.longest_gap.store(0, SeqCst);
        // A command that was sent during the injection may have been decided before the fault.
        self.mark.store(self.now(), SeqCst);
        done
    }

    /// From t0 to the first acknowledgement of a command that was sent after the fault.
    #[must_use]
    pub fn first_after_fault(&self) -> Option<Duration> {
        let first = self.first_after_fault.load(SeqCst);
        (first != NEVER).then(|| Duration::from_micros(first - self.t0.load(SeqCst)))
    }

    /// The longest time without any acknowledgement that ended after the fault.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.longest_gap.load(SeqCst))
    }

    #[must_use]
    pub fn counts(&self) -> LoadCounts {
        LoadCounts {
            acknowledged: self.acknowledged.load(SeqCst),
            rejected: self.rejected.load(SeqCst),
            unknown: self.unknown.load(SeqCst),
            unavailable: self.unavailable.load(SeqCst),
            refused: self.refused.load(SeqCst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_command_sent_after_the_fault_ends_the_outage() {
        let pulse = LoadMonitor::new();
        pulse.release();
        let before = pulse.begin_command().unwrap();
        pulse.inject_fault(|| ());
        std::thread::sleep(Duration::from_millis(2));
        pulse.end_command(before, CommandEnd::Acknowledged { rejected: false });
        assert_eq!(pulse.first_after_fault(), None);
        let unknown = pulse.begin_command().unwrap();
        pulse.end_command(unknown, CommandEnd::Unknown);
        assert_eq!(pulse.first_after_fault(), None);
        let after = pulse.begin_command().unwrap();
        pulse.end_command(after, CommandEnd::Acknowledged { rejected: true });
        assert!(pulse.first_after_fault().unwrap() >= Duration::from_millis(2));
        let counts = pulse.counts();
        assert_eq!((counts.acknowledged, counts.rejected, counts.unknown), (2, 1, 1));
        assert_eq!(pulse.under_way(), 0);
    }

    #[test]
    fn a_held_load_sends_nothing() {
        let pulse = LoadMonitor::new();
        assert_eq!(pulse.begin_command(), None);
        pulse.release();
        assert!(pulse.begin_command().is_some());
        pulse.hold();
        assert_eq!(pulse.begin_command(), None);
        assert_eq!(pulse.under_way(), 1);
    }
}
