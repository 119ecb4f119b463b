//! The age of this node's view: the time since it last had everything that was committed then. It
//! never reads the ledger or the journal.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::limits::FRESHNESS_NOTES_MAX;

/// The commit positions that the primary reported, and when.
#[derive(Debug, Default)]
pub struct Freshness {
    state: Mutex<FreshnessState>,
}

#[derive(Debug, Default)]
struct FreshnessState {
    /// Reported by the primary, but not applied up to there yet.
    pending: VecDeque<(Instant, u64)>,
    current: Option<Instant>,
    heard: Option<Instant>,
    proven: Option<Instant>,
    /// The primary and its term, and when this node began to follow it.
    followed: Option<((u64, u64), Instant)>,
    /// The commit position in the first report of a primary since the start.
    first: Option<u64>,
}

impl Freshness {
    /// Records a message from the primary, which reports that everything up to `committed` is
    /// committed. `None`: it doesn't report a position, because it's new or no majority answers it;
    /// then it may be cut off together with this node.
    pub fn record_contact(&self, now: Instant, committed: Option<u64>) {
        let mut state = self.state();
        state.heard = Some(now);
        let Some(committed) = committed else { return };
        state.proven = Some(now);
        state.first.get_or_insert(committed);
        if let Some((at, last)) = state.pending.back_mut()
            && *last == committed
        {
            *at = now;
            return;
        }
        // A site that is far behind: the newest report stands for the one before.
        if state.pending.len() >= FRESHNESS_NOTES_MAX {
            state.pending.pop_back();
        }
        state.pending.push_back((now, committed));
    }

    /// Records that a majority answered this primary at `now`: its view is current.
    pub fn record_quorum(&self, now: Instant) {
        let mut state = self.state();
        state.pending.clear();
        state.current = state.current.max(Some(now));
    }

    /// The age of a view that has applied everything up to `applied`; `None`: it was never current
    /// since the start.
    pub fn age(&self, now: Instant, applied: Option<u64>) -> Option<Duration> {
        let mut state = self.state();
        while let Some((at, committed)) = state.pending.front().copied()
            && Some(committed) <= applied
        {
            state.current = state.current.max(Some(at));
            state.pending.pop_front();
        }
        state.current.map(|current| now.saturating_duration_since(current))
    }

    /// Whether the records up to `durable` include everything that a primary had committed in its
    /// first report since this start. Callers pass the position on disk; [`Self::age`] can't decide
    /// this, because it counts what is applied.
    pub fn has_caught_up(&self, durable: Option<u64>) -> bool {
        self.state().first.is_some_and(|first| Some(first) <= durable)
    }

    /// This copy was found to have forgotten something: what it has caught up with is decided by
    /// reports from now on.
    pub fn forget_reports(&self) {
        let mut state = self.state();
        state.first = None;
        state.pending.clear();
        state.current = None;
    }

    /// The time of the primary's last message.
    pub fn last_contact(&self) -> Option<Instant> {
        self.state().heard
    }

    /// Whether the primary of a term sent a message within `patience` and reported a commit
    /// position in that time, which only a primary with a majority can. A new primary has the same
    /// time to report one.
    pub fn is_led_by(&self, primary: (u64, u64), now: Instant, patience: Duration) -> bool {
        let mut state = self.state();
        let since = match state.followed {
            Some((followed, since)) if followed == primary => since,
            _ => {
                state.followed = Some((primary, now));
                now
            }
        };
        let lately = |at: Instant| now.saturating_duration_since(at) <= patience;
        let proven = lately(since) || state.proven.is_some_and(lately);
        proven && state.heard.is_some_and(lately)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, FreshnessState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_view_is_as_old_as_the_last_word_of_the_primary_that_it_has_caught_up_with() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let freshness = Freshness::default();
        assert_eq!(freshness.age(at(0), None), None);
        freshness.record_contact(at(10), Some(5));
        assert_eq!(freshness.age(at(20), Some(4)), None, "not applied yet");
        assert_eq!(freshness.age(at(20), Some(5)), Some(Duration::from_millis(10)));
        freshness.record_contact(at(30), Some(5));
        freshness.record_contact(at(40), Some(9));
        assert_eq!(freshness.age(at(50), Some(8)), Some(Duration::from_millis(20)));
        assert_eq!(freshness.age(at(60), Some(9)), Some(Duration::from_millis(20)));
    }

    /// Reports beyond the bound were dropped: after a burst a follower that had applied everything
    /// counted as old until the next report came.
    #[tokio::test(start_paused = true)]
    async fn the_newest_report_is_never_dropped() {
        let start = Instant::now();
        let freshness = Freshness::default();
        let reports = u64::try_from(3 * FRESHNESS_NOTES_MAX).unwrap();
        let at = |number| start + Duration::from_millis(number);
        for number in 1..=reports {
            freshness.record_contact(at(number), Some(number));
        }
        assert_eq!(freshness.age(at(reports), Some(1)), Some(Duration::from_millis(reports - 1)));
        let older = Duration::from_millis(reports - 1_023);
        assert_eq!(freshness.age(at(reports), Some(reports - 1)), Some(older));
        assert_eq!(freshness.age(at(reports), Some(reports)), Some(Duration::ZERO));
    }

    /// With five sites a primary may be cut off with one of its followers, and the two would keep
    /// contact forever.
    #[tokio::test(start_paused = true)]
    async fn a_primary_that_never_says_what_is_committed_leads_nobody_for_long() {
        let (start, patience) = (Instant::now(), Duration::from_secs(1));
        let at = |ms| start + Duration::from_millis(ms);
        let freshness = Freshness::default();
        let led = |term, ms| freshness.is_led_by((2, term), at(ms), patience);
        assert!(!led(1, 0), "no message yet");
        freshness.record_contact(at(10), None);
        assert!(led(1, 20), "it's new");
        freshness.record_contact(at(900), Some(5));
        assert!(led(1, 1_900), "its last report is 1 s old");
        freshness.record_contact(at(1_950), None);
        assert!(!led(1, 1_951), "it sends messages, but no majority answers it");
        assert_eq!(freshness.age(at(1_950), Some(5)), Some(Duration::from_millis(1_050)));
        assert!(led(2, 1_960) && led(2, 2_900), "a majority has just re-elected it");
        assert!(!led(2, 2_961));
    }

    /// Taking the age of the applied state made an empty copy count as full before it was on disk.
    #[tokio::test(start_paused = true)]
    async fn what_is_applied_and_not_on_disk_is_not_caught_up_with() {
        let start = Instant::now();
        let freshness = Freshness::default();
        assert!(!freshness.has_caught_up(Some(9)), "no message yet");
        freshness.record_contact(start, None);
        assert!(!freshness.has_caught_up(Some(9)), "no commit position was reported");
        freshness.record_contact(start, Some(5));
        freshness.record_contact(start, Some(8));
        assert!(freshness.age(start, Some(8)).is_some());
        assert!(!freshness.has_caught_up(Some(3)) && !freshness.has_caught_up(None));
        assert!(freshness.has_caught_up(Some(5)));
    }
}
