//! Entries' timestamps: the ledger's time. It's never behind the journal's, never stands still, and
//! never follows one clock far.
//!
//! ```text
//! a majority's clocks agree    its time: this node's clock, corrected if it isn't one of them
//! no majority, or not known    this node's clock while it's within 60 s of what the monotonic
//!                              clock says since a majority last agreed; else the latter
//! the journal is ahead of that the journal's time, going on a tenth slower
//! ```

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    clock::Clock,
    limits::{LEDGER_AHEAD_SLOWER_BY, TIME_STEP_MAX},
    replication::peers::clocks::PeerClocks,
    state::AppliedState,
};

/// Stamps entries.
pub struct Stamps {
    clock: Arc<dyn Clock>,
    clocks: Arc<PeerClocks>,
    state: Arc<AppliedState>,
    ledger: LedgerTime,
    next_observation: Option<Instant>,
}

/// How often a node that makes no entries reads the ledger's time, so that it knows when it was
/// made.
const OBSERVE_EVERY: Duration = Duration::from_millis(100);

impl Stamps {
    pub fn new(clock: Arc<dyn Clock>, clocks: Arc<PeerClocks>, state: Arc<AppliedState>) -> Self {
        Self { clock, clocks, state, ledger: LedgerTime::default(), next_observation: None }
    }

    /// Reads the ledger's time, which other primaries move on, if it wasn't read lately.
    pub fn observe(&mut self, now: Instant) {
        if self.next_observation.is_none_or(|next| next <= now) {
            self.ledger.observe(self.state.ledger_time(), now);
            self.next_observation = Some(now + OBSERVE_EVERY);
        }
    }

    /// The time of an entry made now, microseconds since the Unix epoch.
    pub fn next_time(&mut self) -> u64 {
        let (wall, now) = (self.clock.wall_micros(), Instant::now());
        self.ledger.observe(self.state.ledger_time(), now);
        let correction = self.clocks.compare(wall, now).correction();
        let (time, source) = self.ledger.next(wall, correction, now);
        self.ledger.report(source, wall, time);
        time
    }

    /// Records that an entry has this time: no later entry gets an earlier one.
    pub fn record_time(&mut self, time: u64) {
        self.ledger.record(time, Instant::now());
    }
}

/// A time and the moment of the monotonic clock that it belongs to.
#[derive(Clone, Copy, Debug)]
struct TimePoint {
    /// Microseconds since the Unix epoch.
    time: u64,
    at: Instant,
}

impl TimePoint {
    /// The time that the monotonic clock predicts.
    fn predict(&self, now: Instant) -> u64 {
        self.time.saturating_add(micros(now.saturating_duration_since(self.at)))
    }

    /// The same, a tenth slower.
    fn predict_slower(&self, now: Instant) -> u64 {
        let passed = micros(now.saturating_duration_since(self.at));
        self.time.saturating_add(passed - passed / LEDGER_AHEAD_SLOWER_BY)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Where a time came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TimeSource {
    #[default]
    Majority,
    /// This node's clock, near enough to the monotonic clock's prediction.
    OwnClock,
    /// The monotonic clock, because this node's clock is too far from it.
    MonotonicClock,
}

/// The ledger's time.
#[derive(Debug, Default)]
struct LedgerTime {
    /// The newest time in the journal, and when this node made it or first saw it.
    last: Option<TimePoint>,
    /// The time when a majority's clocks last agreed; before that, the journal's.
    anchor: Option<TimePoint>,
    source: TimeSource,
}

impl LedgerTime {
    /// The journal has this time. Another primary may have made it, with a majority's agreement.
    fn observe(&mut self, time: u64, now: Instant) {
        let found = TimePoint { time, at: now };
        if self.last.is_none_or(|last| last.time < time) {
            self.last = Some(found);
            if self.anchor.is_none_or(|anchor| anchor.predict(now) < time) {
                self.anchor = Some(found);
            }
        }
    }

    /// An entry of this node has this time.
    fn record(&mut self, time: u64, now: Instant) {
        if self.last.is_none_or(|last| last.time < time) {
            self.last = Some(TimePoint { time, at: now });
        }
    }

    /// The time for an entry, by this node's clock and its correction to a majority's, and where
    /// it's from.
    fn next(&mut self, wall: u64, correction: Option<i64>, now: Instant) -> (u64, TimeSource) {
        let (time, source) = if let Some(correction) = correction {
            let time = wall.saturating_add_signed(correction);
            self.anchor = Some(TimePoint { time, at: now });
            (time, TimeSource::Majority)
        } else {
            let predicted = self.anchor.map_or(0, |anchor| anchor.predict(now));
            if wall.abs_diff(predicted) <= micros(TIME_STEP_MAX) {
                (wall, TimeSource::OwnClock)
            } else {
                (predicted, TimeSource::MonotonicClock)
            }
        };
        (self.last.map_or(time, |last| time.max(last.predict_slower(now))), source)
    }

    fn report(&mut self, source: TimeSource, wall: u64, time: u64) {
        match (std::mem::replace(&mut self.source, source), source) {
            (before, TimeSource::MonotonicClock) if before != source => tracing::warn!(
                time,
                wall,
                "this clock is more than a minute away from the monotonic clock and no majority of clocks agrees: \
                 the ledger's time goes on by the monotonic clock; check the clocks of all sites"
            ),
            (TimeSource::MonotonicClock, now) if now != TimeSource::MonotonicClock => {
                tracing::info!(time, wall, "the ledger's time follows the clocks again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const HOUR: u64 = 3_600 * SECOND;
    /// The true time when a test begins.
    const BEGIN: u64 = 1_790_000_000 * SECOND;

    /// A ledger's time under test, and the true time since the test began.
    struct Scene {
        ledger: LedgerTime,
        begun: Instant,
    }

    impl Scene {
        /// The journal's newest entry is this old.
        fn new(age: u64) -> Self {
            let begun = Instant::now();
            let mut ledger = LedgerTime::default();
            ledger.observe(BEGIN - age, begun);
            Self { ledger, begun }
        }

        /// Makes an entry `after` microseconds of true time. `error` is how far the own clock is
        /// ahead (negative: behind) then; `correction` is what a majority says. Returns how far the
        /// entry's time is ahead.
        fn entry(&mut self, after: u64, error: i64, correction: Option<i64>) -> i64 {
            let now = self.begun + Duration::from_micros(after);
            let wall = (BEGIN + after).saturating_add_signed(error);
            let (time, _) = self.ledger.next(wall, correction, now);
            self.ledger.record(time, now);
            crate::clock::comparison::difference(time, BEGIN + after)
        }
    }

    fn seconds(seconds: i64) -> i64 {
        seconds * 1_000_000
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_a_majority_contradicts_is_corrected_at_once() {
        let mut scene = Scene::new(SECOND);
        assert_eq!(scene.entry(0, 0, Some(0)), 0);
        for error in [-seconds(7_200), seconds(7_200), -seconds(3), seconds(31_536_000)] {
            assert_eq!(scene.entry(SECOND, error, Some(-error)), 0, "{error}");
        }
        assert_eq!(scene.entry(HOUR, 0, Some(0)), 0, "a quiet hour is no step");
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_by_the_monotonic_clock_while_the_clock_is_far_behind_or_ahead() {
        for error in [-seconds(7_200), seconds(7_200)] {
            let mut scene = Scene::new(SECOND);
            assert_eq!(scene.entry(0, 0, Some(0)), 0);
            // The clock steps, and no majority is known any more.
            for minute in 1..=180 {
                assert_eq!(scene.entry(minute * 60 * SECOND, error, None), 0, "{error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn drift_is_a_step_too() {
        let mut scene = Scene::new(SECOND);
        assert_eq!(scene.entry(0, 0, Some(0)), 0);
        let mut furthest = 0;
        for second in 1..=1_200 {
            // 50 s a minute.
            let error = seconds(i64::try_from(second).expect("small")) * 5 / 6;
            furthest = furthest.max(scene.entry(second * SECOND, error, None));
        }
        assert!(furthest <= seconds(60), "followed to {furthest}");
        // A clock that drifts the other way isn't followed either.
        let mut scene = Scene::new(SECOND);
        assert_eq!(scene.entry(0, 0, Some(0)), 0);
        let mut furthest = 0;
        for second in 1..=1_200 {
            let error = -seconds(i64::try_from(second).expect("small")) * 5 / 6;
            furthest = furthest.min(scene.entry(second * SECOND, error, None));
        }
        assert!(furthest >= -seconds(60), "followed to {furthest}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_difference_is_followed_without_a_majority() {
        let mut scene = Scene::new(SECOND);
        assert_eq!(scene.entry(0, 0, Some(0)), 0);
        assert_eq!(scene.entry(SECOND, seconds(30), None), seconds(30));
        assert_eq!(scene.entry(2 * SECOND, seconds(59), None), seconds(59));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_ahead_of_all_clocks_goes_on_a_tenth_slower_until_they_have_caught_up() {
        // All clocks were two hours ahead, and are set back.
        let mut scene = Scene::new(SECOND);
        assert_eq!(scene.entry(0, seconds(7_200), Some(0)), seconds(7_200));
        assert_eq!(scene.entry(10 * SECOND, 0, Some(0)), seconds(7_199), "9 of 10 s");
        for hour in 1..20 {
            let ahead = scene.entry(10 * SECOND + hour * HOUR, 0, Some(0));
            let lost = seconds(360 * i64::try_from(hour).expect("small"));
            assert_eq!(ahead, seconds(7_199) - lost, "after {hour} h");
        }
        assert_eq!(scene.entry(21 * HOUR, 0, Some(0)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_long_stop_only_a_majority_moves_time_to_the_clock() {
        let mut scene = Scene::new(HOUR);
        let hour = -seconds(3_600);
        assert_eq!(scene.entry(0, 0, None), hour, "as the journal says");
        assert_eq!(scene.entry(10 * SECOND, 0, None), hour, "and goes on");
        assert_eq!(scene.entry(20 * SECOND, 0, Some(0)), 0);
        // Another primary made entries meanwhile: this node's old time doesn't count.
        let mut scene = Scene::new(HOUR);
        assert_eq!(scene.entry(0, 0, None), hour);
        scene.ledger.observe(BEGIN + 10 * SECOND, scene.begun + Duration::from_secs(10));
        assert_eq!(scene.entry(20 * SECOND, 0, None), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn time_never_goes_back() {
        let mut scene = Scene::new(0);
        let mut newest = 0;
        let errors = [0, 5, -5, 40, -40, 7_200, -7_200, 1, 100_000, -100_000, 0];
        for (turn, error) in (0..).zip(errors.iter().cycle().take(500)) {
            let (after, error) = (turn * SECOND / 3, seconds(*error));
            let correction = [None, Some(0), Some(-error)][usize::try_from(turn).unwrap_or(0) % 3];
            let ahead = scene.entry(after, error, correction);
            let time = (BEGIN + after).saturating_add_signed(ahead);
            assert!(time >= newest, "turn {turn}");
            newest = time;
        }
    }
}
