//! The port between sites.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::{Connection, Endpoint, ServerConfig, crypto::rustls::QuicServerConfig};

use super::{
    acceptor::{Acceptor, Bounds, PortRules},
    dial::{DialError, Dialler, subject_of},
    frames::{FrameReceiver, FrameSender},
    link::{Link, Place},
    reset,
    short_tasks::ShortTasks,
    slots::SlotPool,
    socket::{self, BindError},
    transport::{self, INCOMING_BYTES_MAX, INCOMING_MAX, PeerSettings},
};
use crate::{
    codec, frame,
    id::NodeId,
    identity::Identity,
    peer::{LANE, Lane, LaneHello},
    version::ALPN_PEER,
};

/// The time limit for a lane's first frame, which is sent together with the stream.
const LANE_HELLO_MAX: Duration = Duration::from_secs(5);

/// A node's port for other nodes: it accepts and dials.
#[derive(Debug)]
pub struct PeerEndpoint {
    dialler: Dialler,
    acceptor: Acceptor<NodeId>,
    handshakes: ShortTasks,
}

impl PeerEndpoint {
    /// Opens the port. Requires tokio's runtime, on which all its tasks run.
    ///
    /// # Errors
    /// If the port is in use or can't be opened, or the certificate can't be used.
    pub fn bind(
        listen: SocketAddr,
        identity: Identity,
        settings: PeerSettings,
    ) -> Result<Self, BindError> {
        let unusable = |error: rustls::Error| BindError::Tls(error.to_string());
        let tls = identity.peer_port_tls(ALPN_PEER).map_err(unusable)?;
        let dialler_tls = identity.dialler_tls(ALPN_PEER).map_err(unusable)?;
        let transport = transport::between_sites(&settings);
        let endpoint = open_port(listen, &identity, "peer", tls, transport.clone())?;
        let most = settings.handshakes_max;
        let handshakes = ShortTasks::new(most, three_quarters(most));
        let rules = ByNode {
            links: SlotPool::new(settings.links_max, settings.links_per_node),
            handshakes: handshakes.clone(),
        };
        let bounds =
            Bounds { handshake: settings.handshake, handshakes: handshakes.clone(), rules };
        let acceptor = Acceptor::start(endpoint.clone(), bounds);
        let dialler = Dialler::new(endpoint, dialler_tls, transport, settings.handshake);
        Ok(Self { dialler, acceptor, handshakes })
    }

    /// Notes that a member has this address: its handshakes don't end for strangers'. The
    /// addresses of nodes that have shown their certificates are noted without this.
    pub fn expect_member(&self, address: IpAddr) {
        self.handshakes.add_member(address);
    }

    /// The local address.
    ///
    /// # Errors
    /// If the system doesn't report it.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.dialler.endpoint().local_addr()
    }

    /// Connects to a node and verifies its identity. The other side verifies our certificate
    /// slightly later: if it refuses, the link closes soon after it was returned.
    ///
    /// # Errors
    /// If the node isn't reached, or another node answers.
    pub async fn dial(&self, node: NodeId, address: SocketAddr) -> Result<PeerLink, DialError> {
        let link = self.dialler.dial(node, address).await?;
        self.handshakes.add_member(address.ip());
        Ok(PeerLink { node, link: Arc::new(link) })
    }

    /// Returns the next link opened by another node, whose certificate was checked; `None` when the
    /// port is closed.
    pub async fn accept(&self) -> Option<PeerLink> {
        let (node, link) = self.acceptor.next().await?;
        Some(PeerLink { node, link: Arc::new(link) })
    }

    /// The number of refused connections so far.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.acceptor.refused_count()
    }

    /// Closes the port and all of its links.
    pub fn close(&self) {
        self.dialler.endpoint().close(quinn::VarInt::from_u32(0), b"the node is shutting down");
    }

    /// Waits until all connections are closed. The caller must bound the wait.
    pub async fn wait_closed(&self) {
        self.dialler.endpoint().wait_idle().await;
    }
}

impl Drop for PeerEndpoint {
    fn drop(&mut self) {
        self.close();
    }
}

/// Nodes are bounded by themselves, after their certificates are checked: no stranger takes a
/// place.
struct ByNode {
    links: SlotPool<NodeId>,
    handshakes: ShortTasks,
}

impl PortRules for ByNode {
    type Who = NodeId;

    fn take_place(&self, _address: IpAddr) -> Result<Option<Place>, &'static str> {
        Ok(None)
    }

    fn check(&self, connection: &Connection) -> Result<(NodeId, Option<Place>), String> {
        let node = subject_of(connection)?.node;
        self.handshakes.add_member(connection.remote_address().ip());
        let slot = self.links.take_slot(node).ok_or("this node has too many connections here")?;
        Ok((node, Some(Box::new(slot))))
    }
}

/// A connection with another node. It closes, with its lanes, when the last of its clones is
/// dropped.
#[derive(Clone, Debug)]
pub struct PeerLink {
    node: NodeId,
    link: Arc<Link>,
}

impl PeerLink {
    /// The node at the other end.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Opens a lane. Waits while the largest number of lanes is open.
    ///
    /// # Errors
    /// If the link is closed.
    pub async fn open_lane(&self, lane: Lane) -> io::Result<(FrameSender, FrameReceiver)> {
        let (mut sender, receiver) = self.link.open_stream().await?;
        sender.set_priority(lane_priority(lane))?;
        sender.send(&frame::encode_whole(LANE, &LaneHello { lane })).await?;
        Ok((sender, receiver))
    }

    /// Returns the next lane opened by the other side. Cancelling the wait may lose a lane.
    ///
    /// # Errors
    /// If the link is closed, or a stream doesn't begin like a lane; then close the link.
    pub async fn accept_lane(&self) -> io::Result<(Lane, FrameSender, FrameReceiver)> {
        let (send, receive) = self.link.connection.accept_bi().await?;
        let (sender, mut receiver) = (FrameSender::new(send), FrameReceiver::new(receive));
        let first = tokio::time::timeout(LANE_HELLO_MAX, receiver.receive()).await;
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let hello = match first.map_err(io::Error::from)?? {
            Some(first) if first.kind == LANE => codec::decode::<LaneHello>(&first.body),
            Some(other) => {
                return Err(invalid(format!("a lane began with a frame of type {}", other.kind)));
            }
            None => return Err(invalid("a lane ended before it began".into())),
        };
        let lane = hello.map_err(|error| invalid(error.to_string()))?.lane;
        sender.set_priority(lane_priority(lane))?;
        Ok((lane, sender, receiver))
    }

    /// Closes the link and sends the reason to the other side.
    pub fn close(&self, why: &str) {
        self.link.close(why);
    }

    /// The current estimate of the round-trip time.
    #[must_use]
    pub fn round_trip_time(&self) -> Duration {
        self.link.connection.rtt()
    }

    /// Waits until the link is closed; returns the reason.
    pub async fn wait_closed(&self) -> String {
        self.link.wait_closed().await
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Watches the link without keeping it open.
    #[must_use]
    pub fn watch(&self) -> LinkWatch {
        let (id, address) = (self.stable_id(), self.remote_address());
        LinkWatch { id, address, link: Arc::downgrade(&self.link) }
    }

    /// The address at the other end.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.link.remote_address()
    }

    /// An id of this link, unique within the process.
    #[must_use]
    pub fn stable_id(&self) -> usize {
        self.link.connection.stable_id()
    }
}

/// A view of a link that doesn't keep it open.
#[derive(Clone, Debug)]
pub struct LinkWatch {
    id: usize,
    address: SocketAddr,
    link: std::sync::Weak<Link>,
}

impl LinkWatch {
    /// See [`PeerLink::stable_id`].
    #[must_use]
    pub fn stable_id(&self) -> usize {
        self.id
    }

    /// See [`PeerLink::remote_address`].
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.upgrade().is_none_or(|link| link.is_closed())
    }

    /// How many datagrams have come in.
    #[must_use]
    pub fn received_datagrams(&self) -> u64 {
        self.link.upgrade().map_or(0, |link| link.datagrams_received())
    }
}

fn lane_priority(lane: Lane) -> i32 {
    match lane {
        Lane::Control => 10,
        Lane::Append => 5,
        Lane::Forward | Lane::About => 0,
    }
}

pub(crate) fn three_quarters(all: usize) -> usize {
    (all - all / 4).max(1)
}

/// Opens the QUIC endpoint of a node's port.
pub(crate) fn open_port(
    listen: SocketAddr,
    identity: &Identity,
    port: &str,
    tls: rustls::ServerConfig,
    transport: Arc<quinn::TransportConfig>,
) -> Result<Endpoint, BindError> {
    let tls = QuicServerConfig::try_from(tls).expect("ring has QUIC's initial cipher suite");
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(transport)
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    let socket = socket::open(listen)?;
    let runtime = quinn::default_runtime().expect("a port is opened on tokio's runtime");
    Endpoint::new(reset::endpoint_config(identity, port), Some(server), socket, runtime)
        .map_err(|error| BindError::new(listen, error))
}
