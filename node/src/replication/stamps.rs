//! The time of an entry: never behind the journal's, and never far ahead of it on one clock's word.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::peers::Peers;
use crate::{
    clock::Clock,
    limits::{TIME_AGREEMENT, TIME_STEP_MAX},
    state::State,
};

/// Stamps entries. A step above a minute is taken only when a majority's clocks agree with ours; else time stands still.
pub struct Stamps {
    clock: Arc<dyn Clock>,
    peers: Arc<Peers>,
    state: Arc<State>,
    members: usize,
    last: u64,
    standing_still: bool,
}

impl Stamps {
    pub fn new(
        clock: Arc<dyn Clock>,
        peers: Arc<Peers>,
        state: Arc<State>,
        members: usize,
    ) -> Self {
        Self { clock, peers, state, members, last: 0, standing_still: false }
    }

    /// What the next entry's time would be now, microseconds since the Unix epoch.
    pub fn look(&mut self) -> u64 {
        let last = self.last.max(self.state.last_time());
        let now = self.clock.wall_micros();
        let step = Duration::from_micros(now.saturating_sub(last));
        if now <= last {
            last
        } else if step <= TIME_STEP_MAX || self.majority_agrees() {
            self.moves_on(now);
            now
        } else {
            self.stands_still(last, now);
            last
        }
    }

    /// An entry is made with this time, as it was looked up: no later one is earlier.
    pub fn stamp(&mut self, time: u64) {
        self.last = self.last.max(time);
    }

    fn majority_agrees(&self) -> bool {
        let age = Duration::from_secs(10);
        let agreeing = self.peers.clocks_agreeing(Instant::now(), TIME_AGREEMENT, age);
        agreeing + 1 > self.members / 2
    }

    fn moves_on(&mut self, now: u64) {
        if std::mem::take(&mut self.standing_still) {
            tracing::warn!(now, "a majority's clocks agree again: the ledger's time moves on");
        }
    }

    fn stands_still(&mut self, last: u64, now: u64) {
        if !std::mem::replace(&mut self.standing_still, true) {
            tracing::error!(
                last,
                now,
                "this clock is more than a minute ahead of the journal and no majority of clocks agrees: \
                 the ledger's time stands still; check the clocks of all sites"
            );
        }
    }
}
