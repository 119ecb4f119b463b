//! The peers' port: accepts members only, and passes each lane to its door.
//!
//! It never looks into a frame.

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
use futures_util::future::join_all;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::RunError;
use crate::{
    config::Config,
    gateway::forward::ForwardDoor,
    metrics::{DoorKind, Metrics},
    operator::introductions::{Introductions, MEMBERSHIP_DIFFERS},
    replication::{
        engine::Replication,
        peer_door::PeerDoor,
        peers::quic::{QuicTransport, lane_ends},
    },
    road::Lead,
    state::AppliedState,
};

pub(crate) struct Peering {
    endpoint: Arc<PeerEndpoint>,
    transport: Arc<QuicTransport>,
    node: NodeId,
    members: Vec<NodeId>,
}

/// Serves the lanes of one peer.
#[derive(Clone)]
struct PeerLanes {
    peer: PeerDoor,
    forward: Arc<ForwardDoor>,
    about: Arc<Introductions>,
    logged: Arc<Mutex<BTreeMap<NodeId, Instant>>>,
}

/// A peer that breaks the protocol reconnects at once: it's logged no more often than this.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How often a follower checks its connections to the others.
const CONNECT_EVERY: Duration = Duration::from_secs(1);
/// How long such a dial may take: meanwhile no other task can dial that peer.
const CONNECT_PATIENCE: Duration = Duration::from_millis(250);

impl Peering {
    pub(crate) fn bind(config: &Config, identity: Identity) -> Result<Self, RunError> {
        let timing = config.profile.timing();
        let idle = (timing.election_max * 2).max(Duration::from_secs(2));
        let settings = PeerSettings { idle, ..PeerSettings::default() };
        let endpoint = Arc::new(PeerEndpoint::bind(config.listen.peer, identity, settings)?);
        // The addresses of members with names are noted when they're reached.
        config.members.iter().filter_map(|member| member.peer.ip()).for_each(|address| {
            endpoint.expect_member(address);
        });
        let transport = Arc::new(QuicTransport::new(endpoint.clone(), &config.members));
        let members = config.members.iter().map(|member| member.node).collect();
        Ok(Self { endpoint, transport, node: config.node, members })
    }

    pub(crate) fn transport(&self) -> &Arc<QuicTransport> {
        &self.transport
    }

    /// Accepts peers' connections until the port is closed.
    pub(crate) fn serve(
        &self,
        replication: &Replication,
        state: Arc<AppliedState>,
        metrics: &Metrics,
        about: Arc<Introductions>,
    ) -> JoinHandle<()> {
        let failing = state.clone();
        let metrics = metrics.door(DoorKind::Forward).clone();
        let (road, keyring) = (replication.road.clone(), replication.keyring.clone());
        let forward = Arc::new(ForwardDoor { road, state, keyring, metrics });
        let (peer, logged) = (replication.door.clone(), Arc::default());
        let lanes = PeerLanes { peer, forward, about, logged };
        let (endpoint, members) = (self.endpoint.clone(), self.members.clone());
        let others = members.iter().copied().filter(|node| *node != self.node).collect();
        let connected = keep_connected(self.transport.clone(), replication.lead.clone(), others);
        let accept = async move {
            while let Some(link) = endpoint.accept().await {
                let from = link.node();
                if !members.contains(&from) {
                    if lanes.may_log(from) {
                        tracing::error!(
                            kind = MEMBERSHIP_DIFFERS,
                            node = from,
                            "refused a node that is no member here"
                        );
                    }
                    link.close("not a member");
                    continue;
                }
                tokio::spawn(lanes.clone().serve(link));
            }
        };
        tokio::spawn(failing.watch_task("the peers' port", async move {
            tokio::select! {
                () = accept => {}
                () = connected => {}
            }
        }))
    }

    pub(crate) async fn close(&self) {
        self.endpoint.close();
        let _closed_or_not = timeout(Duration::from_millis(500), self.endpoint.wait_closed()).await;
    }
}

/// Followers exchange no messages, so none would notice that another one is gone. So a follower
/// keeps a connection to every other site: it ends when that site does. A primary or candidate
/// dials for its own messages, and this leaves it alone.
async fn keep_connected(
    transport: Arc<QuicTransport>,
    lead: watch::Receiver<Lead>,
    others: Vec<NodeId>,
) {
    let mut pace = tokio::time::interval(CONNECT_EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if !matches!(*lead.borrow(), Lead::There(_)) {
            continue;
        }
        let dials = others.iter().map(|node| {
            let transport = &transport;
            async move { timeout(CONNECT_PATIENCE, transport.ensure_connected(*node)).await }
        });
        // A site that doesn't answer shows as unreachable, and is dialled again.
        let _reached_or_not = join_all(dials).await;
    }
}

impl PeerLanes {
    async fn serve(self, link: PeerLink) {
        let from = link.node();
        loop {
            let (lane, sender, receiver) = match link.accept_lane().await {
                Ok(lane) => lane,
                Err(error) => {
                    self.log_ended(from, &error);
                    return link.close(&error.to_string());
                }
            };
            let (lanes, link) = (self.clone(), link.clone());
            let ends = lane_ends(link.clone(), sender, receiver);
            tokio::spawn(async move {
                let served: io::Result<()> = match lane {
                    Lane::Control => lanes.peer.serve_control(from, ends).await,
                    Lane::Append => lanes.peer.serve_append(from, ends).await,
                    Lane::Forward => lanes.forward.serve(ends).await,
                    Lane::About => lanes.about.serve(from, ends).await,
                };
                if let Err(error) = served {
                    lanes.log_ended(from, &error);
                    if error.kind() == io::ErrorKind::InvalidData {
                        link.close(&error.to_string());
                    }
                }
            });
        }
    }

    /// A broken connection is normal. A member that breaks the protocol runs another version, or
    /// its key was stolen.
    fn log_ended(&self, from: NodeId, error: &io::Error) {
        let closed = match error.kind() {
            io::ErrorKind::InvalidData => "its connection",
            io::ErrorKind::InvalidInput => "this lane of it",
            _ => return tracing::debug!(peer = from, %error, "a peer's lane or connection ended"),
        };
        if self.may_log(from) {
            tracing::warn!(peer = from, %error, "a peer broke the protocol: closed {closed}");
        }
    }

    fn may_log(&self, from: NodeId) -> bool {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = logged.get(&from).is_some_and(|at| now - *at < LOG_EVERY);
        if !lately {
            logged.insert(from, now);
        }
        !lately
    }
}
