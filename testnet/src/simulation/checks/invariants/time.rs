//! The ledger's time never runs backwards, never follows one clock that is wrong, and is right soon
//! after a majority's clocks are: then no fresh id is refused, and holds expire.

use std::time::Duration;

use evenkeel_node::{
    history::record_kind,
    limits::{CLOCK_TOLERANCE, TIME_STEP_MAX},
};
use evenkeel_storage::journal::Record;
use tokio::time::Instant;

use super::CheckResult;

/// Until fresh ids are accepted, once the clocks of two running sites are right.
const IDS_WITHIN: Duration = Duration::from_secs(10);
/// A clock with a smaller error is right, microseconds.
const RIGHT_WITHIN: i64 = 1_000_000;
/// From a bootstrap's stamp to its commit, microseconds: sites may be killed in between.
const BOOTSTRAP_TAKES: i64 = 30_000_000;

/// A site's clock at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ClockState {
    pub runs: bool,
    /// Microseconds; negative: behind.
    pub ahead: i64,
}

#[derive(Default)]
pub struct LedgerTime {
    newest: u64,
    /// The errors of all clocks at the beginning and now.
    founding: Vec<i64>,
    errors: Vec<i64>,
    /// How far a majority's clocks have been ahead at most.
    majority_ahead: i64,
    right_since: Option<Instant>,
    /// The true time at the last look.
    true_time: u64,
    /// The ledger's time when all faults were healed.
    healed: Option<(u64, Instant)>,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl LedgerTime {
    /// The newest entry's time.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Records all clocks as they are now.
    pub fn observe_clocks(&mut self, clocks: &[ClockState], true_time: u64, now: Instant) {
        self.true_time = true_time;
        self.errors = clocks.iter().map(|clock| clock.ahead).collect();
        if self.founding.is_empty() {
            self.founding.clone_from(&self.errors);
        }
        let mut sorted = self.errors.clone();
        sorted.sort_unstable();
        self.majority_ahead = self.majority_ahead.max(sorted[sorted.len() / 2]);
        let right = |clock: &&ClockState| clock.runs && clock.ahead.abs() <= RIGHT_WITHIN;
        if clocks.iter().filter(right).count() > clocks.len() / 2 {
            self.right_since.get_or_insert(now);
        } else {
            self.right_since = None;
        }
    }

    /// Checks the next record of the chain.
    ///
    /// # Errors
    /// When it's older than the one before, or further ahead than any majority's clocks were.
    pub fn check_next(&mut self, record: &Record) -> CheckResult {
        if record.kind != record_kind::COMMANDS {
            return Ok(());
        }
        if record.time < self.newest {
            return Err(format!(
                "time: position {} was stamped {}, after {} had been given",
                record.position, record.time, self.newest
            ));
        }
        let ahead = evenkeel_node::clock::comparison::difference(record.time, self.true_time);
        if self.newest == 0 {
            self.check_bootstrap(ahead)?;
        }
        self.newest = record.time;
        let allowed = self.majority_ahead + micros(TIME_STEP_MAX + CLOCK_TOLERANCE) + RIGHT_WITHIN;
        if ahead > allowed {
            return Err(format!(
                "time: position {} was stamped {ahead} µs ahead, a majority's clocks were at most {}",
                record.position, self.majority_ahead
            ));
        }
        Ok(())
    }

    /// The first entry's time must be that of two clocks, then or now.
    fn check_bootstrap(&self, ahead: i64) -> CheckResult {
        let agrees = |errors: &[i64]| {
            errors.iter().filter(|error| (ahead - **error).abs() <= BOOTSTRAP_TAKES).count() >= 2
        };
        if agrees(&self.founding) || agrees(&self.errors) {
            return Ok(());
        }
        Err(format!("time: bootstrapped {ahead} µs ahead; the clocks were {:?}", self.founding))
    }

    /// A fresh id was refused because its time is in the future.
    ///
    /// # Errors
    /// When a majority's clocks have been right for long.
    pub fn check_future_id(&self, now: Instant) -> CheckResult {
        let right_for =
            self.right_since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if right_for < IDS_WITHIN {
            return Ok(());
        }
        Err(format!(
            "time: a fresh id is refused as from the future, although a majority's clocks have been right for \
             {right_for:?}"
        ))
    }

    /// All faults are healed.
    pub fn record_healed(&mut self, now: Instant) {
        self.healed = Some((self.newest, now));
    }

    /// The time that the ledger must have reached by now: since all was healed it has gone on, even
    /// if it was ahead of all clocks.
    pub fn reached_at_rest(&self, now: Instant) -> u64 {
        let Some((time, at)) = self.healed else { return 0 };
        // It may go a tenth slower, and a change of the primary costs a moment.
        let passed = now.saturating_duration_since(at).saturating_sub(Duration::from_secs(1));
        time + u64::try_from(passed.as_micros() * 8 / 10).expect("a run is short")
    }
}
