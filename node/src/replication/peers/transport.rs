//! The seam between replication and the network: lanes of frames from node to node. QUIC behind it in production, a seeded
//! network in the simulation. It never looks into a frame.

use std::io;

use bytes::Bytes;
use evenkeel_wire::{frame::Frame, id::NodeId, peer::Lane};
use futures_util::future::BoxFuture;

/// Opens lanes to peers.
pub trait PeerTransport: Send + Sync + 'static {
    /// A fresh lane: nothing of an earlier one is on it.
    fn open(&self, to: NodeId, lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>>;
}

/// Both directions of a lane.
pub struct LaneEnds {
    pub out: Box<dyn LaneOut>,
    pub inbound: Box<dyn LaneIn>,
}

/// The direction to the peer.
pub trait LaneOut: Send + Sync {
    /// Sends whole frames, in order. Waits while the peer takes no more.
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>>;
}

/// The direction from the peer.
pub trait LaneIn: Send + Sync {
    /// The next frame; `None` when the peer has ended the lane. Cancelling the future loses nothing.
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>>;
}
