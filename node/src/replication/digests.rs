//! Do all copies hold the same? The primary compares digests with its peers, and whoever differs from a majority stops.
//!
//! The chain proves that the copies have the same entries; this proves that they made the same of them. A difference is a
//! bug or broken memory: it's never repaired here, only said, and contained.

use std::{sync::Arc, time::Duration};

use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    peer::{self, DigestNotice, Lane},
};
use tokio::sync::watch;

use super::{network::PeerClient, peers::Peers};
use crate::{metrics::Metrics, road::Lead, state::State};

/// How often digests are compared.
const PACE: Duration = Duration::from_secs(2);
/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a peer that has no digest of that position answers with: no state hashes to it.
const NONE: [u8; 32] = [0; 32];

/// The primary's side.
pub struct Comparison {
    pub peers: Arc<Peers>,
    pub state: Arc<State>,
    pub lead: watch::Receiver<Lead>,
    pub others: Vec<NodeId>,
    pub metrics: Arc<Metrics>,
}

impl Comparison {
    /// Compares for as long as the engine runs.
    pub async fn run(self) {
        let mut clients: Vec<PeerClient> = self
            .others
            .iter()
            .map(|node| PeerClient::new(self.peers.clone(), *node, Lane::Control))
            .collect();
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut compared = None;
        loop {
            pace.tick().await;
            if !matches!(*self.lead.borrow(), Lead::Here(_)) {
                continue;
            }
            // Not the newest: followers apply a moment later.
            let digests = self.state.digests();
            let Some((position, digest)) = digests.iter().rev().nth(1).copied() else { continue };
            if compared != Some(position) {
                compared = Some(position);
                self.compare(&mut clients, position, digest).await;
            }
        }
    }

    async fn compare(&self, clients: &mut [PeerClient], position: u64, digest: [u8; 32]) {
        let notice = DigestNotice { position, link: [0; 32], digest };
        let mut agreeing = 1;
        let mut differing = Vec::new();
        for (at, client) in clients.iter_mut().enumerate() {
            let Ok(body) =
                client.ask(frame::whole(peer::DIGEST, &notice), peer::DIGEST, PATIENCE).await
            else {
                continue;
            };
            match codec::decode::<DigestNotice>(&body) {
                Ok(theirs) if theirs.digest == digest => agreeing += 1,
                Ok(theirs) if theirs.digest != NONE => differing.push(at),
                _ => {}
            }
        }
        let members = self.others.len() + 1;
        for at in &differing {
            self.metrics.digest_mismatch();
            tracing::error!(
                position,
                node = self.others[*at],
                "a site's state differs from this one's although their journals are the same: one of them is broken"
            );
        }
        if agreeing > members / 2 {
            for at in differing {
                let _it_may_be_gone = clients[at]
                    .ask(frame::whole(peer::DIGEST_AGREED, &notice), peer::DIGEST, PATIENCE)
                    .await;
            }
        } else if differing.len() > members / 2 {
            self.state.fail(&format!(
                "at position {position} this node's state differs from a majority's: this copy is broken"
            ));
        }
    }
}

/// A peer's side: answers with its own digest of that position. `agreed`: a majority has the one in the notice.
pub fn answer(state: &State, notice: &DigestNotice, agreed: bool) -> DigestNotice {
    let own = state.digests().into_iter().find(|(position, _)| *position == notice.position);
    let digest = own.map_or(NONE, |(_, digest)| digest);
    if agreed && digest != NONE && digest != notice.digest {
        state.fail(&format!(
            "at position {} this node's state differs from a majority's: this copy is broken; its journal is \
             what the others have, so set the balances' folder aside and start again",
            notice.position
        ));
    }
    DigestNotice { position: notice.position, link: notice.link, digest }
}
