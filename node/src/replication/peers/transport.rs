//! The seam between replication and the network: lanes of frames from node to node. QUIC implements
//! it in production, a seeded network in the simulation. It never looks into a frame.

use std::{io, sync::Arc};

use bytes::Bytes;
use evenkeel_wire::{frame::Frame, id::NodeId, peer::Lane};
use futures_util::future::BoxFuture;

use crate::replication::memory::LinkStatus;

/// Opens lanes to peers.
pub trait PeerTransport: Send + Sync + 'static {
    /// Opens a new lane, without any data of an earlier one.
    fn open(&self, to: NodeId, lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>>;
}

/// Both directions of a lane.
pub struct LaneEnds {
    pub out: Box<dyn LaneOut>,
    pub inbound: Box<dyn LaneIn>,
    /// The connection that it belongs to; `None` where nobody looks for a second process.
    pub link: Option<Arc<dyn LinkStatus>>,
}

/// The sending direction.
pub trait LaneOut: Send + Sync {
    /// Sends whole frames, in order. Waits while the peer accepts no more data.
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Gives the lane up: what was sent and hasn't left needs no longer leave. Otherwise it would
    /// still fill a slow line, in front of what is sent again.
    fn abandon(&mut self) {}
}

/// The receiving direction.
pub trait LaneIn: Send + Sync {
    /// The next frame; `None` after the peer has ended the lane. Safe to cancel: no data is lost.
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>>;
}
