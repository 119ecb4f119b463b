//! The two QUIC ports of a node, and the frames that cross them.
//!
//! [`PeerEndpoint`] is where sites talk to each other: both ends show a certificate of the cluster before a single byte
//! of a message is read. [`ClientEndpoint`] is where clients enter: the node shows its certificate, the client its key
//! in the first frame. Handshakes, connections and buffers are bounded before anybody is known (`places`, `transport`).
//!
//! Nothing here decides anything: what a frame means is the business of whoever reads it. Connections never move to
//! another address, and nothing is sent before the handshake is over.

mod acceptor;
mod client_port;
mod dial;
mod frames;
mod link;
mod peer_port;
mod reset;
mod slots;
mod socket;
pub(crate) mod transport;

pub use client_port::{ClientEndpoint, ClientLink};
pub use dial::DialError;
pub(crate) use dial::Dialler;
pub use frames::{FrameReceiver, FrameSender};
pub(crate) use link::Link;
pub use peer_port::{PeerEndpoint, PeerLink};
pub use socket::BindError;
pub use transport::{ClientSettings, PeerSettings};
