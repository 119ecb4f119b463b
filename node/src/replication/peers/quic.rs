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
use tokio::time::Instant;

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
    failures: Arc<Mutex<BTreeMap<NodeId, LinkFailure>>>,
}

/// Why there's no connection to a peer.
#[derive(Clone, Debug)]
pub struct LinkFailure {
    /// Since when there's none.
    pub since: Instant,
    /// The last reason.
    pub error: String,
}

/// A dial that ends without an answer is a failure, too: its caller gave up.
struct DialAttempt<'a> {
    transport: &'a QuicTransport,
    to: NodeId,
    begun: Instant,
    ended: bool,
}

impl Drop for DialAttempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let address = self.transport.addresses.get(&self.to).map(ToString::to_string);
            let waited = self.begun.elapsed().as_millis();
            let address = address.unwrap_or_default();
            record_failure(&self.transport.failures, self.to, |known| match known {
                // A reason says more than one more silence.
                Some(known) => known,
                None => format!("{address} doesn't answer (waited {waited} ms)"),
            });
        }
    }
}

fn record_failure(
    failures: &Mutex<BTreeMap<NodeId, LinkFailure>>,
    to: NodeId,
    error: impl FnOnce(Option<String>) -> String,
) {
    let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
    let known = failures.remove(&to);
    let since = known.as_ref().map_or_else(Instant::now, |known| known.since);
    let error = error(known.map(|known| known.error));
    failures.insert(to, LinkFailure { since, error });
}

impl QuicTransport {
    pub fn new(endpoint: Arc<PeerEndpoint>, members: &[Member]) -> Self {
        let addresses = members.iter().map(|member| (member.node, member.peer.clone())).collect();
        let links =
            members.iter().map(|member| (member.node, tokio::sync::Mutex::new(()))).collect();
        Self { endpoint, addresses, links, open: Mutex::default(), failures: Arc::default() }
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

    /// Why there's no connection to a peer; `None` while there is one, and before the first dial.
    pub fn failure(&self, to: NodeId) -> Option<LinkFailure> {
        if self.link(to).is_some() {
            return None;
        }
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(&to).cloned()
    }

    /// An id of the open connection to a peer, unique within the process.
    pub fn link_id(&self, to: NodeId) -> Option<usize> {
        self.link(to).map(|link| link.stable_id())
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
        let address = self.addresses.get(&to).ok_or_else(unknown)?;
        let mut attempt = DialAttempt { transport: self, to, begun: Instant::now(), ended: false };
        let dialled = async {
            let address = resolve(address).await?;
            self.endpoint.dial(to, address).await.map_err(io::Error::other)
        };
        let dialled = dialled.await;
        attempt.ended = true;
        let link = dialled.inspect_err(|error| {
            record_failure(&self.failures, to, |_| error.to_string());
        })?;
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&to);
        self.open_links().insert(to, link.clone());
        tokio::spawn(record_close(link.clone(), self.failures.clone()));
        Ok(link)
    }
}

/// Records why a connection ended. The other side may refuse this node's certificate only after
/// the handshake.
async fn record_close(link: PeerLink, failures: Arc<Mutex<BTreeMap<NodeId, LinkFailure>>>) {
    let why = link.wait_closed().await;
    record_failure(&failures, link.node(), |_| why);
}

async fn resolve(address: &Address) -> io::Result<SocketAddr> {
    let text = address.to_string();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found = tokio::net::lookup_host(text.clone()).await;
    let mut found =
        found.map_err(|error| io::Error::new(error.kind(), format!("{text}: {error}")))?;
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
        out: Box::new(QuicLaneOut { sender, is_cut: false, _link: link }),
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
        Self::is_closed(self)
    }

    fn received(&self) -> u64 {
        self.received_datagrams()
    }
}

struct QuicLaneOut {
    sender: FrameSender,
    /// A write was cancelled within a frame.
    is_cut: bool,
    _link: PeerLink,
}

impl LaneOut for QuicLaneOut {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.is_cut = true;
            let sent = self.sender.send_bytes(frames).await;
            self.is_cut = false;
            sent
        })
    }

    fn abandon(&mut self) {
        self.sender.reset();
    }
}

impl Drop for QuicLaneOut {
    fn drop(&mut self) {
        if self.is_cut {
            self.sender.reset();
        }
    }
}

struct QuicLaneIn(FrameReceiver);

impl LaneIn for QuicLaneIn {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(self.0.receive())
    }
}
