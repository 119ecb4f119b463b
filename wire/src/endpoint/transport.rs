//! All QUIC settings that differ from quinn's defaults, with the reasons.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt, congestion::CubicConfig};

/// Settings of the port between sites.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// Idle timeout of a link. Reasonable: max(2 s, 2 × longest election timeout).
    pub idle: Duration,
    /// Time limit of a handshake.
    pub handshake: Duration,
    /// The most links opened by other nodes.
    pub links_max: usize,
    /// The most links opened by one node.
    pub links_per_node: usize,
    /// The most concurrent handshakes; a further one ends an older one.
    pub handshakes_max: usize,
    /// Whether to pass many datagrams to the kernel at once (UDP segmentation offload). Turn it
    /// off only for network cards without support.
    pub segmentation_offload: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            links_max: 128,
            links_per_node: 16,
            handshakes_max: 64,
            segmentation_offload: true,
        }
    }
}

/// Settings of the port for clients.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Idle timeout of a connection.
    pub idle: Duration,
    /// Time limit of a handshake.
    pub handshake: Duration,
    /// The most concurrent connections.
    pub connections_max: usize,
    /// The most concurrent connections of one address.
    pub connections_per_address: usize,
    /// The most concurrent handshakes; a further one ends an older one.
    pub handshakes_max: usize,
    /// The most concurrent streams of one connection.
    pub streams_max: u32,
    /// Whether to pass many datagrams to the kernel at once (UDP segmentation offload). Turn it
    /// off only for network cards without support.
    pub segmentation_offload: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            handshake: Duration::from_secs(5),
            connections_max: 2_048,
            connections_per_address: 1_024,
            handshakes_max: 512,
            streams_max: 2,
            segmentation_offload: true,
        }
    }
}

/// The most pending connection attempts; quinn refuses further ones.
pub(crate) const INCOMING_MAX: usize = 64;
/// The most bytes buffered for pending connection attempts.
pub(crate) const INCOMING_BYTES_MAX: u64 = 1 << 20;
/// The receive window, in bytes, of all streams of a client whose key isn't accepted yet.
const STRANGER_WINDOW: u32 = 64 << 10;
/// The receive window, in bytes, of a client whose key was accepted.
pub(crate) const CLIENT_WINDOW: u32 = 8 << 20;
/// The most unacknowledged bytes sent to a client; then the sender waits.
const CLIENT_SEND_WINDOW: u64 = 8 << 20;
const PEER_STREAM_WINDOW: u32 = 16 << 20;
const PEER_WINDOW: u32 = 64 << 20;
/// The most lanes opened by one side.
const LANES_MAX: u32 = 8;
/// The initial congestion window, in bytes. Sites are few, known, and connected by dedicated lines,
/// so probing up from ten packets isn't needed.
const INITIAL_WINDOW: u64 = 1 << 20;
/// The round-trip time assumed before the first answer. With QUIC's default of 333 ms (RFC 9002
/// §6.2.2) a lost first packet costs a second.
const INITIAL_RTT: Duration = Duration::from_millis(100);

fn common_config(idle: Duration, segmentation_offload: bool) -> TransportConfig {
    let mut cubic = CubicConfig::default();
    cubic.initial_window(INITIAL_WINDOW);
    let mut transport = TransportConfig::default();
    let idle_timeout = IdleTimeout::try_from(idle).unwrap_or_else(|_| VarInt::MAX.into());
    transport
        .max_idle_timeout(Some(idle_timeout))
        .congestion_controller_factory(Arc::new(cubic))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .send_fairness(false)
        .enable_segmentation_offload(segmentation_offload);
    transport
}

/// Settings of both ends of a connection between sites.
pub(crate) fn between_sites(settings: &PeerSettings) -> Arc<TransportConfig> {
    let mut transport = common_config(settings.idle, settings.segmentation_offload);
    transport
        .keep_alive_interval(Some(settings.idle / 4))
        // Otherwise quinn finishes a stream that it has begun, whatever the others' priorities: a
        // heartbeat would wait for all entries in front of it.
        .send_fairness(true)
        .stream_receive_window(VarInt::from_u32(PEER_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(PEER_WINDOW))
        .send_window(u64::from(PEER_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(LANES_MAX));
    Arc::new(transport)
}

/// Settings of the node's end of a client's connection. The window is small until the key is
/// accepted.
pub(crate) fn to_clients(settings: &ClientSettings) -> Arc<TransportConfig> {
    let mut transport = common_config(settings.idle, settings.segmentation_offload);
    transport
        .stream_receive_window(VarInt::from_u32(CLIENT_WINDOW))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(CLIENT_SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(settings.streams_max));
    Arc::new(transport)
}

/// Settings of the client's end, which opens all streams and sends keepalives.
pub(crate) fn to_node(idle: Duration, keep_alive: Duration) -> Arc<TransportConfig> {
    let mut transport = common_config(idle, true);
    transport
        .keep_alive_interval(Some(keep_alive))
        .stream_receive_window(VarInt::from_u32(PEER_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(PEER_STREAM_WINDOW))
        .send_window(u64::from(PEER_STREAM_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(0));
    Arc::new(transport)
}
