//! Questions to one peer over one lane. A lane that is out of step is dropped, never
//! resynchronised.
//!
//! It never looks into an answer's body.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use evenkeel_wire::{frame::Frame, id::NodeId, peer::Lane};
use tokio::{task::JoinSet, time::timeout};

use super::transport::{LaneEnds, PeerTransport};
use crate::replication::memory::PeerMemory;

/// A client of one peer, with a lane that it opens when it's needed.
pub struct LaneClient {
    transport: Arc<dyn PeerTransport>,
    to: NodeId,
    lane: Lane,
    memory: Arc<PeerMemory>,
    /// Present only while in step: taken for every exchange, put back after its last reply.
    ends: Option<LaneEnds>,
    /// A lane that is being opened. It goes on when nobody waits for it: otherwise a caller with
    /// less patience than two round trips would never get one.
    opening: JoinSet<io::Result<LaneEnds>>,
}

/// How long a lane may take to be opened.
const OPENED_WITHIN: Duration = Duration::from_secs(1);

pub(super) fn protocol_error(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

pub(super) fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl LaneClient {
    pub fn new(
        transport: Arc<dyn PeerTransport>,
        to: NodeId,
        lane: Lane,
        memory: Arc<PeerMemory>,
    ) -> Self {
        Self { transport, to, lane, memory, ends: None, opening: JoinSet::new() }
    }

    /// Opens a lane; both ends have introduced themselves on it when this returns.
    fn open(&self, lane: Lane) -> impl Future<Output = io::Result<LaneEnds>> + Send + use<> {
        let (transport, to, memory) = (self.transport.clone(), self.to, self.memory.clone());
        async move {
            let mut ends = transport.open(to, lane).await?;
            memory.introduce(to, &mut ends).await?;
            Ok(ends)
        }
    }

    pub(super) fn to(&self) -> NodeId {
        self.to
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// The lane of an earlier exchange, or a new one.
    pub(super) async fn take_lane(&mut self, patience: Duration) -> io::Result<LaneEnds> {
        if let Some(ends) = self.ends.take() {
            return Ok(ends);
        }
        if self.opening.is_empty() {
            let opening = timeout(OPENED_WITHIN, self.open(self.lane));
            self.opening.spawn(async { opening.await.map_err(|_| timed_out("no lane in time"))? });
        }
        let opened = timeout(patience, self.opening.join_next()).await;
        match opened.map_err(|_| timed_out("no lane in time"))? {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Err(timed_out("no lane was opened")),
        }
    }

    /// Keeps a lane that is in step for the next exchange.
    pub(super) fn return_lane(&mut self, ends: Option<LaneEnds>) {
        self.ends = ends;
    }

    /// Sends one question and returns its answer, over a control lane: this client's own, or one
    /// for this question alone.
    ///
    /// # Errors
    /// When the peer doesn't answer within `patience`, or answers with another type of frame.
    pub async fn request_reply(
        &mut self,
        question: Vec<u8>,
        answer: u8,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let exchange = async {
            let mut ends = match self.lane {
                Lane::Control => self.take_lane(patience).await?,
                _ => self.open(Lane::Control).await?,
            };
            ends.out.send(question.into()).await?;
            let reply = expect_frame(ends.inbound.receive().await?, answer)?;
            if self.lane == Lane::Control {
                self.ends = Some(ends);
            }
            Ok(reply)
        };
        timeout(patience, exchange).await.map_err(|_| timed_out("no answer in time"))?
    }
}

/// The body of a frame of this type.
pub(super) fn expect_frame(frame: Option<Frame>, kind: u8) -> io::Result<Bytes> {
    match frame {
        Some(frame) if frame.kind == kind => Ok(frame.body),
        Some(frame) => {
            Err(protocol_error(&format!("a frame of type {}, expected {kind}", frame.kind)))
        }
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the lane")),
    }
}
