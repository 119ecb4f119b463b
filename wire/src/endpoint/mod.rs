//! The two QUIC ports of a node (RFC 9000), and frames on their streams.
//!
//! [`PeerEndpoint`] is the port between sites: both ends show a certificate of the cluster before
//! any byte of a message is read. [`ClientEndpoint`] is the port for clients: the node shows its
//! certificate, the client its key in the first frame. Handshakes, connections and buffers are
//! bounded before the other end is authenticated (`slots`, `transport`).
//!
//! Frames aren't interpreted here; their readers do that. Connections never migrate to another
//! address, and no data is sent before the handshake is complete.
//!
//! - `peer_port`, `client_port`: the two ports.
//! - `acceptor`: accepts connections; `slots` bounds their number, `short_tasks` their handshakes.
//! - `dial`: connects to a node.
//! - `link`: a connection; `frames`: frames on one of its streams.
//! - `reset`: stateless resets after a restart.
//! - `socket`, `transport`: settings of UDP and QUIC.

mod acceptor;
mod client_port;
mod dial;
mod frames;
mod link;
mod peer_port;
mod reset;
mod short_tasks;
mod slots;
mod socket;
pub(crate) mod transport;

pub use client_port::{ClientEndpoint, ClientLink};
pub use dial::DialError;
pub(crate) use dial::Dialler;
pub use frames::{FrameReceiver, FrameSender};
pub(crate) use link::Link;
pub use peer_port::{LinkWatch, PeerEndpoint, PeerLink};
pub use short_tasks::{ShortTask, ShortTasks};
pub use slots::{Holder, Slot, SlotPool};
pub use socket::BindError;
pub use transport::{ClientSettings, PeerSettings};
