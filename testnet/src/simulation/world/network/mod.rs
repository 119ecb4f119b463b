//! The network between simulated sites, as QUIC presents it: lanes keep order and lose nothing, but
//! they stall, and break when nothing passes for too long.
//!
//! A lost frame arrives later and delays all frames behind it on its lane. A cut holds frames back
//! in one direction; a connection cut for longer than its idle timeout is reset at both ends. A
//! dead site doesn't answer; a restarted one resets.

mod lane;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use evenkeel_node::replication::{
    memory::LinkStatus,
    peers::transport::{LaneEnds, PeerTransport},
};
use evenkeel_wire::{id::NodeId, peer::Lane};
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::disk::LifePulse;
use crate::simulation::{
    checks::{trace::Trace, watch::Watch},
    random::Random,
};
use lane::{Pipe, new_lane_ends};

/// Time limit for a dial.
const DIAL: Duration = Duration::from_secs(2);

/// The conditions for frames.
#[derive(Clone, Copy, Debug)]
pub struct NetworkConditions {
    /// One-way delay, in microseconds.
    pub delay: (u64, u64),
    /// Percentage of frames that must be sent again.
    pub loss: u64,
}

impl NetworkConditions {
    /// Sites in one city.
    pub const METRO: Self = Self { delay: (200, 2_500), loss: 0 };
}

/// Accepts lanes that peers open.
pub type AcceptLane = Arc<dyn Fn(NodeId, Lane, LaneEnds) + Send + Sync>;

/// A running site.
struct RunningSite {
    pulse: Arc<LifePulse>,
    accept: AcceptLane,
}

/// The network between all sites.
pub struct Network {
    trace: Arc<Trace>,
    pub watch: Arc<Watch>,
    /// The idle timeout of connections.
    idle: Duration,
    inner: Mutex<NetworkState>,
}

struct NetworkState {
    random: Random,
    weather: NetworkConditions,
    /// The cut directions, and since when.
    cuts: BTreeMap<(NodeId, NodeId), Instant>,
    up: BTreeMap<NodeId, RunningSite>,
    links: BTreeMap<(NodeId, NodeId), Arc<SiteConnection>>,
    /// How many connections were dialled.
    dialled: u64,
}

/// A connection from one life of a site to one of another.
struct SiteConnection {
    dialler: Arc<LifePulse>,
    acceptor: Arc<LifePulse>,
    number: u64,
    since: Instant,
    broken: std::sync::atomic::AtomicBool,
    pipes: Mutex<Vec<Weak<Pipe>>>,
}

impl LinkStatus for SiteConnection {
    fn id(&self) -> u64 {
        self.number
    }

    fn address(&self) -> String {
        format!("connection {}", self.number)
    }

    fn is_closed(&self) -> bool {
        self.is_broken() || !self.dialler.is_alive() || !self.acceptor.is_alive()
    }

    /// There are no clones here: a site has one process.
    fn received(&self) -> u64 {
        0
    }
}

impl SiteConnection {
    fn is_broken(&self) -> bool {
        self.broken.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn break_off(&self) {
        self.broken.store(true, std::sync::atomic::Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        pipes.retain(|pipe| {
            pipe.upgrade().is_some_and(|pipe| {
                pipe.wake();
                true
            })
        });
    }
}

impl Network {
    #[must_use]
    pub fn new(seed: u64, idle: Duration, trace: Arc<Trace>, watch: Arc<Watch>) -> Arc<Self> {
        let inner = NetworkState {
            random: Random::for_purpose(seed, 1),
            weather: NetworkConditions::METRO,
            cuts: BTreeMap::new(),
            up: BTreeMap::new(),
            links: BTreeMap::new(),
            dialled: 0,
        };
        Arc::new(Self { trace, watch, idle, inner: Mutex::new(inner) })
    }

    fn lock_state(&self) -> MutexGuard<'_, NetworkState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The transport of a site's engine and forwarder.
    #[must_use]
    pub fn transport(
        self: &Arc<Self>,
        node: NodeId,
        pulse: Arc<LifePulse>,
    ) -> Arc<dyn PeerTransport> {
        Arc::new(Transport { network: self.clone(), node, pulse })
    }

    /// Registers a site that answers from now on.
    pub fn attach_site(&self, node: NodeId, pulse: Arc<LifePulse>, accept: AcceptLane) {
        self.lock_state().up.insert(node, RunningSite { pulse, accept });
    }

    /// Wakes all pipes after the end of a site.
    pub fn wake_all(&self) {
        let links: Vec<_> = self.lock_state().links.values().cloned().collect();
        links.iter().for_each(|link| link.wake());
    }

    /// Cuts every direction from a site in `from` to one in `to`.
    pub fn cut(&self, from: &[NodeId], to: &[NodeId]) {
        let now = Instant::now();
        let mut inner = self.lock_state();
        for a in from {
            for b in to.iter().filter(|b| *b != a) {
                inner.cuts.entry((*a, *b)).or_insert(now);
            }
        }
    }

    /// Removes all cuts.
    pub fn heal(&self) {
        self.lock_state().cuts.clear();
        self.wake_all();
    }

    pub fn set_conditions(&self, weather: NetworkConditions) {
        self.lock_state().weather = weather;
    }

    /// Breaks all connections of a site.
    pub fn reset(&self, node: NodeId) {
        let links: Vec<_> = {
            let inner = self.lock_state();
            let of_node = |ends: &(NodeId, NodeId)| ends.0 == node || ends.1 == node;
            inner.links.iter().filter(|(ends, _)| of_node(ends)).map(|(_, l)| l.clone()).collect()
        };
        links.iter().for_each(|link| link.break_off());
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.lock_state().cuts.contains_key(&(from, to))
    }

    /// The delay of one frame.
    fn delay(&self) -> Duration {
        let mut inner = self.lock_state();
        let NetworkConditions { delay, loss } = inner.weather;
        let mut micros = inner.random.between(delay.0, delay.1);
        if inner.random.chance(3) {
            micros += inner.random.below(delay.1 * 4 + 1);
        }
        while loss > 0 && inner.random.chance(loss) {
            micros += delay.1 * 2 + inner.random.between(10_000, 60_000);
        }
        Duration::from_micros(micros)
    }

    /// Breaks connections that were silent for too long. Runs forever.
    pub async fn reap(self: Arc<Self>) {
        loop {
            sleep(Duration::from_millis(100)).await;
            for link in self.remove_dead(Instant::now()) {
                link.break_off();
            }
        }
    }

    fn remove_dead(&self, now: Instant) -> Vec<Arc<SiteConnection>> {
        let mut inner = self.lock_state();
        let up: BTreeSet<NodeId> =
            inner.up.iter().filter(|(_, up)| up.pulse.is_alive()).map(|(node, _)| *node).collect();
        let silent = |from: NodeId, to: NodeId, link: &SiteConnection| {
            inner
                .cuts
                .get(&(from, to))
                .is_some_and(|since| now - (*since).max(link.since) > self.idle)
        };
        let mut gone = Vec::new();
        for ((from, to), link) in &inner.links {
            let either_dead = !link.dialler.is_alive() || !link.acceptor.is_alive();
            // A restarted site answers with a reset. A dead site is noticed only after the idle
            // timeout, as with a cut.
            let restarted = either_dead && up.contains(from) && up.contains(to);
            if link.is_broken() || restarted || silent(*from, *to, link) || silent(*to, *from, link)
            {
                gone.push((*from, *to));
            }
        }
        gone.iter().filter_map(|ends| inner.links.remove(ends)).collect()
    }

    /// A site died: its connections break after the idle timeout.
    pub fn detach_site(self: &Arc<Self>, node: NodeId) {
        self.wake_all();
        let links: Vec<_> = {
            let inner = self.lock_state();
            let of_node = |ends: &(NodeId, NodeId)| ends.0 == node || ends.1 == node;
            inner.links.iter().filter(|(ends, _)| of_node(ends)).map(|(_, l)| l.clone()).collect()
        };
        let idle = self.idle;
        tokio::spawn(async move {
            sleep(idle).await;
            links.iter().for_each(|link| link.break_off());
        });
    }

    fn find_connection(&self, from: NodeId, to: NodeId) -> Option<Arc<SiteConnection>> {
        let inner = self.lock_state();
        inner.links.get(&(from, to)).filter(|link| !link.is_broken()).cloned()
    }

    /// The other end of a dial, if both directions are open and the site answers.
    fn dial(
        &self,
        from: NodeId,
        to: NodeId,
        dialler: &Arc<LifePulse>,
    ) -> Option<Arc<SiteConnection>> {
        let mut inner = self.lock_state();
        if inner.cuts.contains_key(&(from, to)) || inner.cuts.contains_key(&(to, from)) {
            return None;
        }
        let acceptor = inner.up.get(&to).filter(|up| up.pulse.is_alive())?.pulse.clone();
        if let Some(link) = inner.links.get(&(from, to))
            && !link.is_broken()
            && link.dialler.is_alive()
            && link.acceptor.is_alive()
        {
            return Some(link.clone());
        }
        inner.dialled += 1;
        let link = Arc::new(SiteConnection {
            dialler: dialler.clone(),
            acceptor,
            number: inner.dialled,
            since: Instant::now(),
            broken: false.into(),
            pipes: Mutex::default(),
        });
        inner.links.insert((from, to), link.clone());
        Some(link)
    }

    fn accept(&self, link: &SiteConnection, to: NodeId) -> Option<AcceptLane> {
        let inner = self.lock_state();
        let up = inner.up.get(&to)?;
        (Arc::ptr_eq(&up.pulse, &link.acceptor) && up.pulse.is_alive()).then(|| up.accept.clone())
    }
}

struct Transport {
    network: Arc<Network>,
    node: NodeId,
    pulse: Arc<LifePulse>,
}

impl Transport {
    async fn connect(&self, to: NodeId) -> io::Result<Arc<SiteConnection>> {
        loop {
            if !self.pulse.is_alive() {
                return Err(io::Error::other("this machine is down"));
            }
            if let Some(link) = self.network.find_connection(self.node, to)
                && Arc::ptr_eq(&link.dialler, &self.pulse)
            {
                return Ok(link);
            }
            let round_trip = self.network.delay() + self.network.delay();
            sleep(round_trip).await;
            if let Some(link) = self.network.dial(self.node, to, &self.pulse)
                && Arc::ptr_eq(&link.dialler, &self.pulse)
            {
                return Ok(link);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl PeerTransport for Transport {
    fn open(&self, to: NodeId, lane: Lane) -> BoxFuture<'_, io::Result<LaneEnds>> {
        Box::pin(async move {
            let link = timeout(DIAL, self.connect(to)).await.map_err(io::Error::from)??;
            let (near, far) = new_lane_ends(&self.network, &link, (self.node, to), lane);
            let (network, from) = (self.network.clone(), self.node);
            tokio::spawn(async move {
                sleep(network.delay()).await;
                while network.is_cut(from, to) && !link.is_broken() {
                    sleep(Duration::from_millis(20)).await;
                }
                if !link.is_broken()
                    && let Some(accept) = network.accept(&link, to)
                {
                    accept(from, lane, far);
                }
            });
            Ok(near)
        })
    }
}
