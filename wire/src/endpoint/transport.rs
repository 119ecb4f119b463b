//! QUIC's settings: one place for every number that isn't quinn's default, with its reason.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt, congestion::CubicConfig};

/// How the port between sites behaves.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// A link without any sign of life for this long is closed. Reasonable: max(2 s, 2 × longest election timeout).
    pub idle: Duration,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// The most links that others may have open to this node.
    pub links_max: usize,
    /// The most handshakes at a time.
    pub handshakes_max: usize,
    /// Hand the kernel many datagrams at once. Off only for network cards that can't.
    pub segmentation_offload: bool,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            links_max: 64,
            handshakes_max: 64,
            segmentation_offload: true,
        }
    }
}

/// How the port for clients behaves.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// A connection without any sign of life for this long is closed.
    pub idle: Duration,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// The most connections at a time; one address may hold three quarters of them.
    pub connections_max: usize,
    /// The most handshakes at a time; one address may hold three quarters of them.
    pub handshakes_max: usize,
    /// The most streams of one connection at a time.
    pub streams_max: u32,
    /// Hand the kernel many datagrams at once. Off only for network cards that can't.
    pub segmentation_offload: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15),
            handshake: Duration::from_secs(5),
            connections_max: 2_048,
            handshakes_max: 512,
            streams_max: 2,
            segmentation_offload: true,
        }
    }
}

/// Connection attempts that wait for a decision; more are refused by quinn itself.
pub(crate) const INCOMING_MAX: usize = 64;
/// Bytes that attempts may leave behind while they wait.
pub(crate) const INCOMING_BYTES_MAX: u64 = 1 << 20;
/// Bytes that a client may have unread on all of its streams before its key is accepted.
const STRANGER_WINDOW: u32 = 64 << 10;
/// The same for a client whose key was accepted.
pub(crate) const CLIENT_WINDOW: u32 = 8 << 20;
/// Bytes on the way to a client that it hasn't acknowledged; more, and the sender waits.
const CLIENT_SEND_WINDOW: u64 = 8 << 20;
const PEER_STREAM_WINDOW: u32 = 16 << 20;
const PEER_WINDOW: u32 = 64 << 20;
/// Lanes that one side may have open.
const LANES_MAX: u32 = 8;
/// Sites are few, known, and joined by lines made for them: no need to feel the way from ten packets up.
const INITIAL_WINDOW: u64 = 1 << 20;
/// Before the first answer. QUIC's own 333 ms make a lost first packet cost a second.
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

/// Between sites, both ends.
pub(crate) fn between_sites(settings: &PeerSettings) -> Arc<TransportConfig> {
    let mut transport = common_config(settings.idle, settings.segmentation_offload);
    transport
        .keep_alive_interval(Some(settings.idle / 4))
        .stream_receive_window(VarInt::from_u32(PEER_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(PEER_WINDOW))
        .send_window(u64::from(PEER_WINDOW))
        .max_concurrent_bidi_streams(VarInt::from_u32(LANES_MAX));
    Arc::new(transport)
}

/// The node's end of a client's connection. The window is a stranger's until the key is accepted.
pub(crate) fn to_clients(settings: &ClientSettings) -> Arc<TransportConfig> {
    let mut transport = common_config(settings.idle, settings.segmentation_offload);
    transport
        .stream_receive_window(VarInt::from_u32(CLIENT_WINDOW))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(CLIENT_SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(settings.streams_max));
    Arc::new(transport)
}

/// The client's end. It opens all streams and keeps the connection alive.
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
