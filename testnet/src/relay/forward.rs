//! The relay's forwarding thread: receives datagrams and sends them on as the rules say.
//!
//! The rules stay locked during one turn of the loop, so that a cut applies to every datagram from
//! the order's reply on. A cut also drops the site's datagrams in flight.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::id::NodeId;
use rustix::{
    event::{Timespec, epoll},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    lane::Lane,
    line::Lines,
    route::{Route, RoutePlan, Source},
    rules::{Chance, Rules},
};

/// The most source addresses served at once; a new one replaces the one idle for longest.
const SOURCES_MAX: usize = 64;
/// The most datagrams received from one socket before the next one's turn.
const TURN_DATAGRAMS_MAX: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 65_536;
const BACK: u64 = 1 << 32;

/// Counts of all datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramCounts {
    pub forwarded: u64,
    /// Dropped by the link's loss.
    pub lost: u64,
    /// Dropped in a cut direction.
    pub cut: u64,
    /// Dropped because a lane or a link's queue was full, or the kernel refused the send.
    pub overflowed: u64,
}

/// State shared by the control socket and the forwarding thread.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) rules: Rules,
    pub(crate) counts: DatagramCounts,
    pub(crate) lines: Lines,
}

/// The state of the forwarding thread.
#[derive(Debug)]
pub(crate) struct Forwarder {
    epoll: OwnedFd,
    routes: Vec<Route>,
    sources: Vec<Source>,
    chance: Chance,
    shared: Arc<Mutex<Shared>>,
}

impl Forwarder {
    /// Opens all ports.
    pub(crate) fn open(
        plans: &[RoutePlan],
        seed: u64,
        shared: Arc<Mutex<Shared>>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let routes = plans.iter().map(|plan| Route::open(*plan)).collect::<io::Result<Vec<_>>>()?;
        for (number, route) in routes.iter().enumerate() {
            watch(&epoll, &route.front, encode_token(number, false))?;
        }
        Ok(Self { epoll, routes, sources: Vec::new(), chance: Chance::new(seed), shared })
    }

    /// Runs until the process ends or polling fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(SOURCES_MAX);
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let until = self.next_due().map(|due| due.saturating_duration_since(Instant::now()));
            events.clear();
            match self.wait(&mut events, until) {
                Ok(()) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let shared = Arc::clone(&self.shared);
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            for event in &events {
                let number = event.data.u64();
                if number & BACK == 0 {
                    self.receive_requests(decode_token(number), &mut buffer, &mut shared);
                } else {
                    self.receive_replies(decode_token(number & !BACK), &mut buffer, &mut shared);
                }
            }
            self.deliver(&mut shared);
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, until: Option<Duration>) -> Result<(), Errno> {
        let until = until.map(|time| Timespec::try_from(time).expect("a link's delay is bounded"));
        let spare = rustix::buffer::spare_capacity(events);
        epoll::wait(&self.epoll, spare, until.as_ref()).map(|_| ())
    }

    fn next_due(&self) -> Option<Instant> {
        let lanes = self.sources.iter().flat_map(|source| [&source.there, &source.home]);
        lanes.filter_map(Lane::due_at).min()
    }

    /// Receives datagrams that a site sent to this route's port.
    fn receive_requests(&mut self, route: usize, buffer: &mut [u8], shared: &mut Shared) {
        for _ in 0..TURN_DATAGRAMS_MAX {
            let Ok((bytes, address)) = self.routes[route].front.recv_from(buffer) else { return };
            let now = Instant::now();
            let Ok(number) = self.source_of(route, address, now) else {
                shared.counts.overflowed += 1;
                continue;
            };
            let plan = self.routes[route].plan;
            let source = &mut self.sources[number];
            source.used = now;
            let way = DatagramPath { from: plan.from, to: plan.to, target: plan.target };
            handle_datagram(
                &way,
                &source.back,
                &mut source.there,
                &buffer[..bytes],
                now,
                shared,
                &mut self.chance,
            );
        }
    }

    /// Receives replies to one of the source addresses.
    fn receive_replies(&mut self, number: usize, buffer: &mut [u8], shared: &mut Shared) {
        let Some(source) = self.sources.get_mut(number) else { return };
        let route = &self.routes[source.route];
        let way = DatagramPath { from: route.plan.to, to: route.plan.from, target: source.address };
        for _ in 0..TURN_DATAGRAMS_MAX {
            let Ok((bytes, address)) = source.back.recv_from(buffer) else { return };
            if address != route.plan.target {
                continue;
            }
            let now = Instant::now();
            source.used = now;
            handle_datagram(
                &way,
                &route.front,
                &mut source.home,
                &buffer[..bytes],
                now,
                shared,
                &mut self.chance,
            );
        }
    }

    fn source_of(&mut self, route: usize, address: SocketAddr, now: Instant) -> io::Result<usize> {
        let known = |source: &Source| source.route == route && source.address == address;
        if let Some(number) = self.sources.iter().position(known) {
            return Ok(number);
        }
        let source = Source::open(route, address, now)?;
        if self.sources.len() < SOURCES_MAX {
            let number = self.sources.len();
            watch(&self.epoll, &source.back, encode_token(number, true))?;
            self.sources.push(source);
            return Ok(number);
        }
        let quiet = self.sources.iter().enumerate().min_by_key(|(_, source)| source.used);
        let (number, _) = quiet.expect("the table is full");
        watch(&self.epoll, &source.back, encode_token(number, true))?;
        // Closing the old socket also removes it from epoll.
        self.sources[number] = source;
        Ok(number)
    }

    /// Sends the datagrams that are due.
    fn deliver(&mut self, shared: &mut Shared) {
        let now = Instant::now();
        for source in &mut self.sources {
            let route = &self.routes[source.route];
            let RoutePlan { from, to, target, .. } = route.plan;
            while let Some(datagram) = source.there.pop(now) {
                DatagramPath { from, to, target }.send_datagram(&source.back, &datagram, shared);
            }
            while let Some(datagram) = source.home.pop(now) {
                let way = DatagramPath { from: to, to: from, target: source.address };
                way.send_datagram(&route.front, &datagram, shared);
            }
        }
    }
}

/// The ends of a datagram's path.
struct DatagramPath {
    from: NodeId,
    to: NodeId,
    target: SocketAddr,
}

impl DatagramPath {
    fn send_datagram(&self, socket: &UdpSocket, datagram: &[u8], shared: &mut Shared) {
        if !shared.rules.is_open(self.from, self.to) {
            shared.counts.cut += 1;
        } else if socket.send_to(datagram, self.target).is_ok() {
            shared.counts.forwarded += 1;
        } else {
            shared.counts.overflowed += 1;
        }
    }
}

/// Handles a received datagram: drops it, queues it, or sends it immediately.
fn handle_datagram(
    way: &DatagramPath,
    socket: &UdpSocket,
    lane: &mut Lane,
    datagram: &[u8],
    now: Instant,
    shared: &mut Shared,
    chance: &mut Chance,
) {
    if !shared.rules.is_open(way.from, way.to) {
        shared.counts.cut += 1;
        return;
    }
    if shared.rules.is_lost(chance) {
        shared.counts.lost += 1;
        return;
    }
    let Some(queued) =
        shared.lines.send((way.from, way.to), shared.rules.link.rate, now, datagram.len())
    else {
        shared.counts.overflowed += 1;
        return;
    };
    let delay = queued + shared.rules.delay(chance);
    if delay.is_zero() && lane.is_empty() {
        way.send_datagram(socket, datagram, shared);
    } else if !lane.push(now, delay, datagram) {
        shared.counts.overflowed += 1;
    }
}

fn watch(epoll: &OwnedFd, socket: impl AsFd, token: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(token);
    Ok(epoll::add(epoll, socket, data, epoll::EventFlags::IN)?)
}

fn encode_token(number: usize, back: bool) -> u64 {
    let number = u64::try_from(number).expect("a small number");
    if back { number | BACK } else { number }
}

fn decode_token(number: u64) -> usize {
    usize::try_from(number).expect("made from an index")
}
