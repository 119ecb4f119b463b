//! The clocks of all sites, as this node knows them: from the answers to its heartbeats and to its
//! own questions.
//!
//! It never sends, and never sets a clock: it says which time a majority has, and whose clock
//! differs from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::id::NodeId;
use tokio::{sync::watch, time::Instant};

use crate::{
    clock::{
        Clock,
        comparison::{ClockComparison, ClockVerdict, KnownClock, difference},
        lasting::LastingDifference,
    },
    limits::{CLOCK_KNOWN_FOR, CLOCK_ROUND, CLOCK_ROUND_TRIP_MAX, LEDGER_AHEAD_MAX},
};

/// A site's clock that has differed for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DifferingClock {
    pub node: NodeId,
    /// How far it's ahead, microseconds; negative: behind.
    pub by: i64,
    /// Compared with a majority's clocks. Otherwise no majority agrees, and it's compared with this
    /// node's clock.
    pub from_majority: bool,
}

/// What an operator must know about the clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockReport {
    /// The clocks that have differed for a while, by their nodes.
    pub differing: Vec<DifferingClock>,
    /// How far the ledger's time has been ahead of the clocks for a while, microseconds.
    pub ledger_ahead: Option<u64>,
    /// The ledger isn't bootstrapped, because no majority's clocks agree.
    pub bootstrap_waits: bool,
}

/// A peer's clock at a moment of the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct ClockSample {
    /// Microseconds since the Unix epoch.
    time: u64,
    at: Instant,
    /// Half of the round trip.
    uncertainty: Duration,
}

#[derive(Default)]
struct LastingDifferences {
    sites: BTreeMap<NodeId, LastingDifference>,
    ledger: LastingDifference,
}

/// The clocks of all sites.
pub struct PeerClocks {
    own: NodeId,
    others: Vec<NodeId>,
    clock: Arc<dyn Clock>,
    samples: Mutex<BTreeMap<NodeId, ClockSample>>,
    lasting: Mutex<LastingDifferences>,
    report: watch::Sender<ClockReport>,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PeerClocks {
    /// `others`: the other members.
    pub fn new(own: NodeId, others: Vec<NodeId>, clock: Arc<dyn Clock>) -> Self {
        let (samples, lasting) = (Mutex::default(), Mutex::default());
        let report = watch::Sender::default();
        Self { own, others, clock, samples, lasting, report }
    }

    pub fn others(&self) -> &[NodeId] {
        &self.others
    }

    /// This node's clock, microseconds since the Unix epoch.
    pub fn own_time(&self) -> u64 {
        self.clock.wall_micros()
    }

    /// Records a peer's clock from the answer to a message sent at `sent`. A slow answer says too
    /// little.
    pub fn record(&self, from: NodeId, time: u64, sent: Instant, received: Instant) {
        let round_trip = received.saturating_duration_since(sent);
        if round_trip > CLOCK_ROUND_TRIP_MAX {
            return;
        }
        let uncertainty = round_trip / 2;
        // By now the clock has gone on, probably by half of the round trip.
        let time = time.saturating_add(micros(uncertainty));
        lock(&self.samples).insert(from, ClockSample { time, at: received, uncertainty });
    }

    /// Whether it's time to ask a peer, because nothing else has told its clock.
    pub fn is_due(&self, peer: NodeId, now: Instant) -> bool {
        let sample = lock(&self.samples).get(&peer).copied();
        sample.is_none_or(|sample| now.saturating_duration_since(sample.at) >= CLOCK_ROUND / 2)
    }

    /// A peer's clock less this node's, microseconds; `None`: not known lately.
    pub fn offset(&self, peer: NodeId, now: Instant) -> Option<i64> {
        let wall = self.clock.wall_micros();
        self.known(wall, now).into_iter().find(|clock| clock.node == peer).map(|clock| clock.offset)
    }

    /// The comparison of all clocks, if this node's shows `wall`.
    pub fn compare(&self, wall: u64, now: Instant) -> ClockComparison {
        let known = self.known(wall, now).into_iter();
        ClockComparison::new(self.own, known, self.others.len() + 1)
    }

    /// Each sample as what the clock would show by now: so a step of the own clock shows at once.
    fn known(&self, wall: u64, now: Instant) -> Vec<KnownClock> {
        let samples = lock(&self.samples);
        let lately = samples
            .iter()
            .filter(|(_, sample)| now.saturating_duration_since(sample.at) <= CLOCK_KNOWN_FOR);
        lately
            .map(|(node, sample)| {
                let passed = micros(now.saturating_duration_since(sample.at));
                KnownClock {
                    node: *node,
                    offset: difference(sample.time.saturating_add(passed), wall),
                    uncertainty: micros(sample.uncertainty),
                }
            })
            .collect()
    }

    /// The time by a majority's clocks: this node's own if it's one of them. `None`: no majority
    /// agrees, or it isn't known.
    pub fn majority_time(&self, now: Instant) -> Option<u64> {
        let wall = self.clock.wall_micros();
        let correction = self.compare(wall, now).correction()?;
        Some(wall.saturating_add_signed(correction))
    }

    /// How far a ledger's time is ahead of a majority's clocks, or of this node's where no majority
    /// agrees, microseconds; 0 if it isn't.
    pub fn ledger_ahead(&self, ledger_time: u64, now: Instant) -> u64 {
        let wall = self.clock.wall_micros();
        let majority = self.compare(wall, now).majority().map_or(0, |majority| majority.offset);
        ledger_time.saturating_sub(wall.saturating_add_signed(majority))
    }

    /// Whether a node's clock agrees with a majority's now and hasn't been found wrong lately.
    pub fn is_correct(&self, node: NodeId, now: Instant) -> bool {
        let comparison = self.compare(self.clock.wall_micros(), now);
        comparison.majority().is_some()
            && comparison.judge(node) == ClockVerdict::Agrees
            && lock(&self.lasting)
                .sites
                .get(&node)
                .is_none_or(|lasting| lasting.counted().is_none())
    }

    /// How far a node's clock has differed from a majority's for a while, microseconds.
    pub fn wrong_by(&self, node: NodeId) -> Option<i64> {
        let report = self.report.borrow();
        let mut differing = report.differing.iter();
        differing.find(|clock| clock.node == node && clock.from_majority).map(|clock| clock.by)
    }

    /// Judges all clocks and the ledger's time, and reports what has changed.
    pub fn evaluate(&self, ledger_time: u64, now: Instant) {
        let wall = self.clock.wall_micros();
        let comparison = self.compare(wall, now);
        let from_majority = comparison.majority().is_some();
        let mut lasting = lock(&self.lasting);
        let nodes = self.others.iter().copied().chain([self.own]);
        let mut differing: Vec<DifferingClock> = nodes
            .filter_map(|node| {
                let site = lasting.sites.entry(node).or_default();
                site.update(comparison.judge(node), now);
                site.counted().map(|by| DifferingClock { node, by, from_majority })
            })
            .collect();
        differing.sort_by_key(|clock| clock.node);
        lasting.ledger.update(judge_ledger(self.ledger_ahead(ledger_time, now)), now);
        let ledger_ahead = lasting.ledger.counted().map(i64::unsigned_abs);
        drop(lasting);
        self.report.send_if_modified(|report| {
            let bootstrap_waits = report.bootstrap_waits;
            let current = ClockReport { differing, ledger_ahead, bootstrap_waits };
            let changed = *report != current;
            *report = current;
            changed
        });
    }

    /// Reports whether the bootstrap of the ledger waits for clocks that agree.
    pub fn set_bootstrap_waits(&self, waits: bool) {
        self.report.send_if_modified(|report| {
            std::mem::replace(&mut report.bootstrap_waits, waits) != waits
        });
    }

    /// What an operator must know, from now on.
    pub fn watch_report(&self) -> watch::Receiver<ClockReport> {
        self.report.subscribe()
    }
}

fn judge_ledger(ahead: u64) -> ClockVerdict {
    if ahead > micros(LEDGER_AHEAD_MAX) {
        ClockVerdict::Differs(i64::try_from(ahead).unwrap_or(i64::MAX))
    } else {
        ClockVerdict::Agrees
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SECOND: u64 = 1_000_000;
    const BEGIN: u64 = 1_790_000_000 * SECOND;

    #[derive(Default)]
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn wall_micros(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    struct Scene {
        clock: Arc<SetClock>,
        clocks: PeerClocks,
        begun: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let clock = Arc::new(SetClock::default());
            let clocks = PeerClocks::new(1, vec![2, 3], clock.clone());
            Self { clock, clocks, begun: Instant::now() }
        }

        /// The own clock has this error now, after `seconds`; so have those of nodes 2 and 3, if
        /// they're heard.
        fn pass(&self, seconds: u64, error: i64, others: [Option<i64>; 2]) -> Instant {
            let now = self.begun + Duration::from_secs(seconds);
            let clock =
                |error: i64| (BEGIN + seconds * SECOND).saturating_add_signed(error * 1_000_000);
            self.clock.0.store(clock(error), Ordering::Relaxed);
            for (node, error) in (2..).zip(others) {
                if let Some(error) = error {
                    self.clocks.record(node, clock(error), now, now);
                }
            }
            now
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_round_trip_is_added_and_a_slow_answer_is_no_measurement() {
        let scene = Scene::new();
        let sent = scene.pass(0, 0, [None, None]);
        let received = sent + Duration::from_millis(400);
        scene.clock.0.store(BEGIN + 400_000, Ordering::Relaxed);
        scene.clocks.record(2, BEGIN + 200_000, sent, received);
        assert_eq!(scene.clocks.offset(2, received), Some(0));
        let uncertain = scene.clocks.known(BEGIN, received)[0].uncertainty;
        assert_eq!(uncertain, 200_000);
        scene.clocks.record(3, BEGIN, sent, sent + Duration::from_millis(1_001));
        assert_eq!(scene.clocks.offset(3, received), None);
        assert!(!scene.clocks.is_due(2, received) && scene.clocks.is_due(3, received));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_own_clock_shows_at_once_and_an_old_sample_says_nothing() {
        let scene = Scene::new();
        let now = scene.pass(0, 0, [Some(0), Some(0)]);
        assert_eq!(scene.clocks.majority_time(now), Some(BEGIN));
        let now = scene.pass(5, -7_200, [None, None]);
        assert_eq!(scene.clocks.offset(2, now), Some(7_200_000_000));
        assert_eq!(scene.clocks.majority_time(now), Some(BEGIN + 5 * SECOND));
        let now = scene.pass(11, -7_200, [None, None]);
        assert_eq!((scene.clocks.offset(2, now), scene.clocks.majority_time(now)), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_differs_for_five_seconds_is_reported_and_no_longer_correct() {
        let scene = Scene::new();
        let report = scene.clocks.watch_report();
        for second in 0..=4 {
            let now = scene.pass(second, -7_200, [Some(0), Some(0)]);
            scene.clocks.evaluate(0, now);
            assert_eq!((scene.clocks.wrong_by(1), report.has_changed().ok()), (None, Some(false)));
            assert!(!scene.clocks.is_correct(1, now) && scene.clocks.is_correct(2, now));
        }
        let now = scene.pass(5, -7_200, [Some(0), Some(0)]);
        scene.clocks.evaluate(0, now);
        let own = DifferingClock { node: 1, by: -7_200_000_000, from_majority: true };
        assert_eq!(report.borrow().differing, [own]);
        assert_eq!(scene.clocks.wrong_by(1), Some(-7_200_000_000));
        for second in 6..=16 {
            let now = scene.pass(second, 0, [Some(0), Some(0)]);
            assert!(!scene.clocks.is_correct(1, now), "it was wrong a moment ago");
            scene.clocks.evaluate(0, now);
        }
        assert_eq!((scene.clocks.wrong_by(1), report.borrow().differing.len()), (None, 0));
        assert!(scene.clocks.is_correct(1, scene.pass(17, 0, [Some(0), Some(0)])));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_majority_no_clock_is_called_wrong_and_all_that_differ_are_reported() {
        let scene = Scene::new();
        let mut now = scene.begun;
        for second in 0..=5 {
            now = scene.pass(second, 0, [Some(100), Some(-100)]);
            scene.clocks.evaluate(0, now);
        }
        let report = scene.clocks.watch_report().borrow().clone();
        let found: Vec<_> =
            report.differing.iter().map(|c| (c.node, c.by, c.from_majority)).collect();
        assert_eq!(found, [(2, 100_000_000, false), (3, -100_000_000, false)]);
        assert_eq!(scene.clocks.majority_time(now), None);
        assert!([1, 2, 3].iter().all(|node| scene.clocks.wrong_by(*node).is_none()));
        assert!(![1, 2, 3].iter().any(|node| scene.clocks.is_correct(*node, now)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_whose_time_is_ahead_of_the_clocks_is_reported() {
        let scene = Scene::new();
        for second in 0..=5 {
            let now = scene.pass(second, -3, [Some(0), Some(0)]);
            let time = BEGIN + (7_200 + second) * SECOND;
            assert_eq!(scene.clocks.ledger_ahead(time, now), 7_200 * SECOND, "by the majority");
            scene.clocks.evaluate(time, now);
        }
        let report = scene.clocks.watch_report();
        assert_eq!(report.borrow().ledger_ahead, Some(7_200 * SECOND));
        for second in 6..=16 {
            let now = scene.pass(second, 0, [Some(0), Some(0)]);
            scene.clocks.evaluate(BEGIN + (second + 4) * SECOND, now);
        }
        assert_eq!(report.borrow().ledger_ahead, None, "4 s are within what clocks may differ");
    }
}
