//! Learns the clocks of all peers and has them judged, once a second.
//!
//! A primary learns them from the answers to its heartbeats; a follower asks. It never waits for a
//! peer that doesn't answer longer than a round.

use std::sync::Arc;

use evenkeel_wire::{
    codec, frame,
    peer::{self, ClockReading, Lane},
};
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{clocks::PeerClocks, lane_client::LaneClient, transport::PeerTransport};
use crate::{
    limits::{CLOCK_ROUND, CLOCK_ROUND_TRIP_MAX},
    replication::memory::PeerMemory,
    state::AppliedState,
};

/// The task that learns and judges the clocks.
pub struct ClockRounds {
    pub transport: Arc<dyn PeerTransport>,
    pub memory: Arc<PeerMemory>,
    pub clocks: Arc<PeerClocks>,
    pub state: Arc<AppliedState>,
}

impl ClockRounds {
    /// Runs until the engine stops.
    pub async fn run(self) {
        let mut clients: Vec<LaneClient> = self
            .clocks
            .others()
            .iter()
            .map(|node| {
                LaneClient::new(self.transport.clone(), *node, Lane::Control, self.memory.clone())
            })
            .collect();
        let mut pace = interval(CLOCK_ROUND);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let now = Instant::now();
            let due = clients.iter_mut().filter(|client| self.clocks.is_due(client.to(), now));
            join_all(due.map(|client| ask(client, &self.clocks))).await;
            self.clocks.evaluate(self.state.ledger_time(), Instant::now());
        }
    }
}

/// Asks one peer. A peer that doesn't answer isn't reported here: others notice.
async fn ask(client: &mut LaneClient, clocks: &PeerClocks) {
    let question = frame::encode_whole(peer::CLOCK, &ClockReading { clock: clocks.own_time() });
    // The lane may have to be opened first: then the round trip is that of the question alone.
    let Ok(ends) = client.take_lane(CLOCK_ROUND_TRIP_MAX).await else { return };
    client.return_lane(Some(ends));
    let sent = Instant::now();
    let answer = client.request_reply(question, peer::CLOCK, CLOCK_ROUND_TRIP_MAX).await;
    let Ok(reading) = answer.map(|body| codec::decode::<ClockReading>(&body)) else { return };
    if let Ok(ClockReading { clock }) = reading {
        clocks.record(client.to(), clock, sent, Instant::now());
    }
}
