//! The port where peers come in: members only, each lane to whoever serves it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::{
    endpoint::{PeerEndpoint, PeerLink, PeerSettings},
    id::NodeId,
    identity::Identity,
    peer::Lane,
};
use tokio::{task::JoinHandle, time::Instant};

use super::RunError;
use crate::{
    config::Config,
    gateway::forward::ForwardDoor,
    metrics::{Door, Metrics},
    replication::{
        engine::Replication,
        quic::{QuicTransport, ends},
        serve::PeerDoor,
    },
    state::State,
};

pub(super) struct Peering {
    endpoint: Arc<PeerEndpoint>,
    transport: Arc<QuicTransport>,
    members: Vec<u64>,
}

/// Who serves the lanes of one peer.
#[derive(Clone)]
struct Lanes {
    peer: PeerDoor,
    forward: Arc<ForwardDoor>,
    said: Arc<Mutex<BTreeMap<NodeId, Instant>>>,
}

/// A peer that breaks the protocol comes back at once: it's told of no more often than this.
const SAY_EVERY: Duration = Duration::from_secs(60);

impl Peering {
    pub(super) fn bind(config: &Config, identity: Identity) -> Result<Self, RunError> {
        let timing = config.profile.timing();
        let idle = (timing.election_max * 2).max(Duration::from_secs(2));
        let settings = PeerSettings { idle, ..PeerSettings::default() };
        let endpoint = Arc::new(PeerEndpoint::bind(config.listen.peer, identity, settings)?);
        let transport = Arc::new(QuicTransport::new(endpoint.clone(), &config.members));
        let members = config.members.iter().map(|member| member.node).collect();
        Ok(Self { endpoint, transport, members })
    }

    pub(super) fn transport(&self) -> &Arc<QuicTransport> {
        &self.transport
    }

    /// Takes peers' connections until the port is closed.
    pub(super) fn serve(
        &self,
        replication: &Replication,
        state: Arc<State>,
        metrics: &Metrics,
    ) -> JoinHandle<()> {
        let metrics = metrics.door(Door::Forward).clone();
        let (road, keyring) = (replication.road.clone(), replication.keyring.clone());
        let forward = Arc::new(ForwardDoor { road, state, keyring, metrics });
        let lanes = Lanes { peer: replication.door.clone(), forward, said: Arc::default() };
        let (endpoint, members) = (self.endpoint.clone(), self.members.clone());
        tokio::spawn(async move {
            while let Some(link) = endpoint.accept().await {
                let from = link.node();
                if !members.contains(&from) {
                    tracing::warn!(node = from, "refused a node that is no member");
                    link.close("not a member");
                    continue;
                }
                tokio::spawn(lanes.clone().serve(link));
            }
        })
    }

    pub(super) async fn close(&self) {
        self.endpoint.close();
        let _told_or_not =
            tokio::time::timeout(Duration::from_millis(500), self.endpoint.wait_closed()).await;
    }
}

impl Lanes {
    async fn serve(self, link: PeerLink) {
        let from = link.node();
        loop {
            let (lane, sender, receiver) = match link.accept_lane().await {
                Ok(lane) => lane,
                Err(error) => {
                    self.say_ended(from, &error);
                    return link.close(&error.to_string());
                }
            };
            let (lanes, link) = (self.clone(), link.clone());
            let ends = ends(link.clone(), sender, receiver);
            tokio::spawn(async move {
                let served: io::Result<()> = match lane {
                    Lane::Control => lanes.peer.serve_control(from, ends).await,
                    Lane::Append => lanes.peer.serve_append(from, ends).await,
                    Lane::Forward => lanes.forward.serve(ends).await,
                };
                if let Err(error) = served {
                    lanes.say_ended(from, &error);
                    if error.kind() == io::ErrorKind::InvalidData {
                        link.close(&error.to_string());
                    }
                }
            });
        }
    }

    /// Lines break every day; a member that breaks the protocol is another version, or somebody with a stolen key.
    fn say_ended(&self, from: NodeId, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData && self.may_say(from) {
            tracing::warn!(peer = from, %error, "a peer broke the protocol: closed its connection");
        } else {
            tracing::debug!(peer = from, %error, "a peer's lane or connection ended");
        }
    }

    fn may_say(&self, from: NodeId) -> bool {
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = said.get(&from).is_some_and(|at| now - *at < SAY_EVERY);
        if !lately {
            said.insert(from, now);
        }
        !lately
    }
}
