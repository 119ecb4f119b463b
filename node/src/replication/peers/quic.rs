//! Lanes over QUIC: one connection per direction and pair of sites, dialled on first use and again
//! after it was lost. It never looks into a frame.
//!
//! A restarted peer answers packets of its former connections with a stateless reset (RFC 9000
//! §10.3), which ends a stale connection at once.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_wire::{
    endpoint::{FrameReceiver, FrameSender, LinkWatch, PeerEndpoint, PeerLink},
    frame::Frame,
    id::NodeId,
    peer::Lane,
};
use futures_util::future::BoxFuture;

use super::transport::{LaneEnds, LaneIn, LaneOut, PeerTransport};
use crate::{
    config::{Address, Member},
    replication::memory::LinkStatus,
};

/// Dials peers and opens lanes.
pub struct QuicTransport {
    endpoint: Arc<PeerEndpoint>,
    addresses: BTreeMap<NodeId, Address>,
    links: BTreeMap<NodeId, tokio::sync::Mutex<()>>,
    open: Mutex<BTreeMap<NodeId, PeerLink>>,
}

impl QuicTransport {
    pub fn new(endpoint: Arc<PeerEndpoint>, members: &[Member]) -> Self {
        let addresses = members.iter().map(|member| (member.node, member.peer.clone())).collect();
        let links =
            members.iter().map(|member| (member.node, tokio::sync::Mutex::new(()))).collect();
        Self { endpoint, addresses, links, open: Mutex::default() }
    }

    fn open_links(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, PeerLink>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, to: NodeId) -> Option<PeerLink> {
        self.open_links().get(&to).filter(|link| !link.is_closed()).cloned()
    }

    /// The round-trip time to a peer, if a connection is open.
    pub fn rtt(&self, to: NodeId) -> Option<Duration> {
        self.link(to).map(|link| link.round_trip_time())
    }

    /// Opens a connection, unless one is open or being dialled.
    ///
    /// # Errors
    /// When the peer doesn't answer.
    pub async fn ensure_connected(&self, to: NodeId) -> io::Result<()> {
        let dialling = self.links.get(&to).is_none_or(|link| link.try_lock().is_err());
        if dialling { Ok(()) } else { self.connect(to).await.map(drop) }
    }

    async fn connect(&self, to: NodeId) -> io::Result<PeerLink> {
        if let Some(link) = self.link(to) {
            return Ok(link);
        }
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("node {to} is no member"));
        let _one_dials = self.links.get(&to).ok_or_else(unknown)?.lock().await;
        if let Some(link) = self.link(to) {
            return Ok(link);
        }
        let address = resolve(self.addresses.get(&to).ok_or_else(unknown)?).await?;
        let link = self.endpoint.dial(to, address).await.map_err(io::Error::other)?;
        self.open_links().insert(to, link.clone());
        Ok(link)
    }
}

async fn resolve(address: &Address) -> io::Result<SocketAddr> {
    let text = address.to_string();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let mut found = tokio::net::lookup_host(text.clone()).await?;
    found
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{text} has no address")))
}

impl PeerTransport for QuicTransport {
    fn open(&self, to: NodeId, lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>> {
        Box::pin(async move {
            let link = self.connect(to).await?;
            let (sender, receiver) = link.open_lane(lane).await?;
            Ok(lane_ends(link, sender, receiver))
        })
    }
}

/// A lane's ends, which keep its connection alive.
pub fn lane_ends(link: PeerLink, sender: FrameSender, receiver: FrameReceiver) -> LaneEnds {
    let watch: Arc<dyn LinkStatus> = Arc::new(link.watch());
    LaneEnds {
        out: Box::new(QuicLaneOut { sender, _link: link }),
        inbound: Box::new(QuicLaneIn(receiver)),
        link: Some(watch),
    }
}

impl LinkStatus for LinkWatch {
    fn id(&self) -> u64 {
        u64::try_from(self.stable_id()).unwrap_or(u64::MAX)
    }

    fn address(&self) -> String {
        self.remote_address().to_string()
    }

    fn is_closed(&self) -> bool {
        LinkWatch::is_closed(self)
    }

    fn received(&self) -> u64 {
        self.received_datagrams()
    }
}

struct QuicLaneOut {
    sender: FrameSender,
    _link: PeerLink,
}

impl LaneOut for QuicLaneOut {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.sender.send_bytes(frames))
    }
}

struct QuicLaneIn(FrameReceiver);

impl LaneIn for QuicLaneIn {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(self.0.receive())
    }
}
