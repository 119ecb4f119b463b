//! One lane: two pipes of frames, each with its own order and delays.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use evenkeel_node::replication::peers::transport::{LaneEnds, LaneIn, LaneOut};
use evenkeel_wire::{
    frame::{self, Frame},
    id::NodeId,
    peer::Lane,
};
use futures_util::future::BoxFuture;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{Network, SiteConnection};

/// Bytes in a pipe before its sender must wait.
const WINDOW_BYTES: usize = 4 << 20;

/// One direction of a lane.
pub(crate) struct Pipe {
    link: Arc<SiteConnection>,
    from: NodeId,
    to: NodeId,
    lane: Lane,
    state: Mutex<PipeState>,
    arrived: Notify,
    taken: Notify,
    receiver_gone: AtomicBool,
}

#[derive(Default)]
struct PipeState {
    queue: VecDeque<QueuedFrame>,
    bytes: usize,
    newest: Option<Instant>,
    stalled: bool,
}

struct QueuedFrame {
    at: Instant,
    /// `None`: the sender has closed the lane.
    frame: Option<Frame>,
}

impl Pipe {
    pub(crate) fn wake(&self) {
        self.arrived.notify_one();
        self.taken.notify_one();
    }

    fn lock_state(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, network: &Network, frame: Option<Frame>) {
        let at = Instant::now() + network.delay();
        let mut state = self.lock_state();
        let at = state.newest.map_or(at, |newest| newest.max(at));
        state.newest = Some(at);
        state.bytes += frame.as_ref().map_or(0, |frame| frame.body.len());
        state.queue.push_back(QueuedFrame { at, frame });
        drop(state);
        self.arrived.notify_one();
    }

    /// The next frame, or the time until which the receiver must wait.
    fn try_receive(&self, network: &Network) -> Result<Option<Frame>, Option<Instant>> {
        let cut = network.is_cut(self.from, self.to);
        let now = Instant::now();
        let mut state = self.lock_state();
        let Some(at) = state.queue.front().map(|item| item.at) else { return Err(None) };
        if at > now {
            return Err(Some(at));
        }
        if cut {
            state.stalled = true;
            return Err(None);
        }
        if std::mem::take(&mut state.stalled) {
            // Frames lost on the way are sent again.
            let again = now + network.delay();
            state.queue.iter_mut().for_each(|item| item.at = item.at.max(again));
            state.newest = state.newest.max(Some(again));
            return Err(Some(again));
        }
        if state.queue.front().is_some_and(|item| item.frame.is_none()) {
            return Ok(None);
        }
        let item = state.queue.pop_front().expect("checked above");
        state.bytes -= item.frame.as_ref().map_or(0, |frame| frame.body.len());
        drop(state);
        self.taken.notify_one();
        Ok(item.frame)
    }
}

/// The two ends of a new lane: the opener's and the acceptor's.
pub(crate) fn new_lane_ends(
    network: &Arc<Network>,
    link: &Arc<SiteConnection>,
    (from, to): (NodeId, NodeId),
    lane: Lane,
) -> (LaneEnds, LaneEnds) {
    let pipe = |from, to| {
        let pipe = Arc::new(Pipe {
            link: link.clone(),
            from,
            to,
            lane,
            state: Mutex::default(),
            arrived: Notify::new(),
            taken: Notify::new(),
            receiver_gone: false.into(),
        });
        let mut pipes = link.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.push(Arc::downgrade(&pipe));
        pipe
    };
    let (there, back) = (pipe(from, to), pipe(to, from));
    let end = |out: &Arc<Pipe>, inbound: &Arc<Pipe>, pulse: &Arc<_>| LaneEnds {
        out: Box::new(PipeSender {
            network: network.clone(),
            pipe: out.clone(),
            pulse: Arc::clone(pulse),
        }),
        inbound: Box::new(PipeReceiver {
            network: network.clone(),
            pipe: inbound.clone(),
            pulse: Arc::clone(pulse),
        }),
        link: Some(link.clone()),
    };
    (end(&there, &back, &link.dialler), end(&back, &there, &link.acceptor))
}

fn connection_reset(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, why.to_owned())
}

struct PipeSender {
    network: Arc<Network>,
    pipe: Arc<Pipe>,
    pulse: Arc<super::LifePulse>,
}

impl PipeSender {
    fn check(&self) -> io::Result<()> {
        if !self.pulse.is_alive() {
            return Err(connection_reset("this machine is down"));
        }
        if self.pipe.link.is_broken() || self.pipe.receiver_gone.load(Ordering::Relaxed) {
            return Err(connection_reset("the connection is lost"));
        }
        Ok(())
    }
}

impl LaneOut for PipeSender {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let mut bytes = BytesMut::from(&frames[..]);
            while let Some(frame) = frame::take_frame(&mut bytes).map_err(io::Error::other)? {
                loop {
                    self.check()?;
                    if self.pipe.lock_state().bytes < WINDOW_BYTES {
                        break;
                    }
                    self.pipe.taken.notified().await;
                }
                let (from, to) = (self.pipe.from, self.pipe.to);
                self.network.watch.check_frame(from, to, &frame);
                self.pipe.push(&self.network, Some(frame));
            }
            assert!(bytes.is_empty(), "whole frames are sent");
            Ok(())
        })
    }
}

impl Drop for PipeSender {
    fn drop(&mut self) {
        if self.pulse.is_alive() {
            self.pipe.push(&self.network, None);
        }
    }
}

struct PipeReceiver {
    network: Arc<Network>,
    pipe: Arc<Pipe>,
    pulse: Arc<super::LifePulse>,
}

impl LaneIn for PipeReceiver {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(async move {
            loop {
                if !self.pulse.is_alive() {
                    return Err(connection_reset("this machine is down"));
                }
                if self.pipe.link.is_broken() {
                    return Err(connection_reset("the connection is lost"));
                }
                let until = match self.pipe.try_receive(&self.network) {
                    Ok(frame) => {
                        let (from, to) = (self.pipe.from, self.pipe.to);
                        if let Some(frame) = &frame {
                            let numbers = [from, to, self.pipe.lane as u64, frame.kind.into()];
                            self.network.trace.event(1, &numbers, &frame.body);
                        }
                        return Ok(frame);
                    }
                    Err(until) => until,
                };
                match until {
                    None => self.pipe.arrived.notified().await,
                    Some(at) => tokio::select! {
                        biased;
                        () = sleep_until(at) => {}
                        () = self.pipe.arrived.notified() => {}
                    },
                }
            }
        })
    }
}

impl Drop for PipeReceiver {
    fn drop(&mut self) {
        self.pipe.receiver_gone.store(true, Ordering::Relaxed);
        self.pipe.taken.notify_one();
    }
}
