//! Every node keeps a lane to every other one, on which it says what its copy is and what it has
//! found; the primary also what every member had. It never waits for a disk.

use std::{io, sync::Arc};

use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    introduction::{Incident, MEMORY, MEMORY_KEPT, MemoryNotice},
    peer::Lane,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use super::peer_memory::PeerMemory;
use crate::{
    limits::{INCIDENTS_KEPT_MAX, MEMORY_NOTICE_EVERY, MEMORY_WRITTEN_EVERY},
    replication::peers::{lane_client::LaneClient, transport::PeerTransport},
    road::Lead,
};

/// How long a peer may take to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// After this much time without a primary the reason is looked for.
const STANDSTILL_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
/// The same reason is logged again after this much time.
const SAID_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

impl PeerMemory {
    /// Runs until the engine stops.
    pub async fn run(
        self: Arc<Self>,
        transport: Arc<dyn PeerTransport>,
        lead: watch::Receiver<Lead>,
    ) {
        let mut tasks = JoinSet::new();
        for peer in self.parts.others.clone() {
            let client = LaneClient::new(transport.clone(), peer, Lane::Control, self.clone());
            tasks.spawn(self.clone().keep_told(peer, client));
        }
        tasks.spawn(self.clone().keep_written(lead));
        while tasks.join_next().await.is_some() {}
    }

    async fn keep_told(self: Arc<Self>, peer: NodeId, mut client: LaneClient) {
        let mut tick = interval(MEMORY_NOTICE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Option<(Instant, MemoryNotice)> = None;
        loop {
            tick.tick().await;
            let Ok(notice) = self.notice() else { continue };
            let due = |(at, said): &(Instant, MemoryNotice)| {
                *said != notice || at.elapsed() >= MEMORY_WRITTEN_EVERY
            };
            if told.as_ref().is_some_and(|told| !due(told)) {
                continue;
            }
            let question = frame::encode_whole(MEMORY, &notice);
            match client.request_reply(question, MEMORY_KEPT, PATIENCE).await {
                Ok(reply) => {
                    told = Some((Instant::now(), notice));
                    self.take_incidents(codec::decode(&reply).unwrap_or_default());
                }
                Err(error) => {
                    told = None;
                    tracing::debug!(peer, %error, "a peer wasn't told what it had");
                }
            }
        }
    }

    fn notice(&self) -> io::Result<MemoryNotice> {
        let (term, had) = self.compute_had()?.unwrap_or_default();
        self.remember_had(&had);
        let (standing, incidents) = (self.parts.empty_copies.standing(), self.incidents());
        Ok(MemoryNotice { term, life: self.own_life(), standing, had, incidents })
    }

    /// A peer's notice; returns the answer.
    ///
    /// # Errors
    /// When what must be remembered can't be written.
    pub async fn take_notice(&self, from: NodeId, notice: MemoryNotice) -> io::Result<Vec<u8>> {
        self.hear_standing(from, notice.standing);
        // A copy that has caught up counts from now on.
        self.remember_life(from, notice.life, notice.standing).await?;
        self.remember_had(&notice.had);
        self.take_incidents(notice.incidents);
        Ok(frame::encode_whole(MEMORY_KEPT, &self.incidents()))
    }

    fn take_incidents(&self, incidents: Vec<Incident>) {
        incidents.into_iter().take(INCIDENTS_KEPT_MAX).for_each(|incident| self.report(incident));
    }

    /// Writes down what changed, and says why nothing is decided.
    async fn keep_written(self: Arc<Self>, lead: watch::Receiver<Lead>) {
        let mut tick = interval(MEMORY_WRITTEN_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut led = Instant::now();
        let mut said: Option<(Instant, String)> = None;
        loop {
            tick.tick().await;
            self.save_lazily();
            let now = Instant::now();
            if *lead.borrow() != Lead::Nowhere {
                (led, said) = (now, None);
            } else if now.saturating_duration_since(led) >= STANDSTILL_AFTER
                && let Some(why) = self.explain_standstill()
                && said.as_ref().is_none_or(|(at, last)| {
                    *last != why || now.saturating_duration_since(*at) >= SAID_AGAIN_AFTER
                })
            {
                tracing::error!(kind = "standstill", "{why}");
                said = Some((now, why));
            }
        }
    }
}
