//! Starts the engine with its settings, and the tasks around it.
//!
//! The settings and why: docs/decisions/0002. No snapshots, no purging, no lease reads, pre-vote
//! always.

pub mod log_store;
#[cfg(evenkeel_simulation)]
pub mod seeded;
pub mod state_machine;
pub mod types;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use evenkeel_storage::{disk::Disk, journal::Journal, memory::CopyMemory};
use evenkeel_wire::id::NodeId;
use futures_util::{FutureExt, future::BoxFuture};
use openraft::{Config, SnapshotPolicy, errors::RaftError};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::{
    log_store::LogStore,
    state_machine::StateMachine,
    types::{LogId, StoredMembership, Vote},
};
use super::{
    Raft,
    digests::DigestComparison,
    empty_copy::{EmptyCopies, EmptyCopy},
    forwarder::{FollowerExit, Forwarder},
    journal_reads::JournalReads,
    leadership::{
        handover::Handover,
        lead::{LeadKeeper, LeadKeeperParts},
        trigger::HandoverTrigger,
    },
    memory::{MemoryParts, PeerMemory},
    peer_door::PeerDoor,
    peers::{
        book::PeerBook,
        clock_rounds::ClockRounds,
        clocks::PeerClocks,
        majority::Majority,
        mute_gate::{GateTimes, MuteGate},
        network::{Network, NetworkParts},
        transport::PeerTransport,
    },
    primary_exit::PrimaryExit,
    proposing::{
        batcher::Batcher, queue::Queue, repeats::RepeatParts, sealing_pace::SealingPace,
        stamps::Stamps, upkeep::Upkeep,
    },
    reads,
};
use crate::state::freshness::Freshness;
use crate::{
    admission::Keyring,
    clock::Clock,
    config::Timing,
    limits::KEYS_TRUSTED_HEARTBEATS,
    metrics::Metrics,
    road::{Lead, Road, Ticket},
    state::AppliedState,
    telemetry::{folded::FoldedLine, timeline::Timeline},
};

/// What replication is made of.
pub struct ReplicationParts {
    pub node: NodeId,
    pub members: Vec<NodeId>,
    pub timing: Timing,
    pub disk: Arc<dyn Disk>,
    pub data: PathBuf,
    /// A random number that identifies this life, and this copy if it begins empty.
    pub copy: u64,
    /// What this node remembered at the end of its last life.
    pub memory: CopyMemory,
    /// The names of the members' sites.
    pub sites: BTreeMap<NodeId, String>,
    pub journal: Journal,
    pub vote: Option<Vote>,
    /// Everything up to here is committed, and applied to the ledger in `state`.
    pub applied: Option<LogId>,
    pub membership: StoredMembership,
    pub state: Arc<AppliedState>,
    pub clock: Arc<dyn Clock>,
    pub transport: Arc<dyn PeerTransport>,
    pub timeline: Option<Timeline>,
    pub genesis: evenkeel_wire::genesis::Genesis,
    pub metrics: Arc<Metrics>,
}

impl ReplicationParts {
    fn others(&self) -> Vec<NodeId> {
        self.members.iter().copied().filter(|node| *node != self.node).collect()
    }

    async fn peer_views(&self) -> Result<PeerViews, StartError> {
        let (empty, others) = (self.journal.newest_tip().is_none(), self.others());
        let silence = self.timing.election_max * 2;
        let own = EmptyCopy::open(self.disk.clone(), &self.data, empty, self.copy, silence)
            .map_err(StartError::EmptyCopy)?;
        let majority = Arc::new(Majority::new(&others));
        let gate = Arc::new(MuteGate::new(majority.clone(), gate_times(&self.timing)));
        let empty_copies = EmptyCopies::new(own, others.clone(), majority.clone());
        let (empty_copies, freshness) = (Arc::new(empty_copies), Arc::<Freshness>::default());
        let clocks = Arc::new(PeerClocks::new(self.node, others.clone(), self.clock.clone()));
        let parts = MemoryParts {
            node: self.node,
            others,
            sites: self.sites.clone(),
            journal: self.journal.clone(),
            majority: majority.clone(),
            gate: gate.clone(),
            empty_copies: empty_copies.clone(),
            freshness: freshness.clone(),
            state: self.state.clone(),
        };
        let memory = PeerMemory::start(parts, &self.memory, self.copy);
        let memory = memory.await.map_err(StartError::Memory)?;
        let book = Arc::default();
        Ok(PeerViews { book, clocks, gate, empty_copies, freshness, memory, majority })
    }

    /// The journal as replication reads it.
    fn journal_reads(&self) -> JournalReads {
        JournalReads::new(self.journal.clone(), self.state.read_threads().replication)
    }

    fn network(&self, views: &PeerViews) -> Network {
        Network::new(NetworkParts {
            transport: self.transport.clone(),
            reads: self.journal_reads(),
            gate: views.gate.clone(),
            book: views.book.clone(),
            majority: views.majority.clone(),
            clocks: views.clocks.clone(),
            empty_copies: views.empty_copies.clone(),
            memory: views.memory.clone(),
            mismatches: FoldedLine::default(),
            append_reply: (self.timing.election_max * 2).max(Duration::from_secs(1)),
            redial: self.timing.heartbeat,
        })
    }

    /// Serves the peers' lanes.
    fn door(&self, raft: &Raft, freshness: &Arc<Freshness>, views: &PeerViews) -> PeerDoor {
        PeerDoor {
            raft: raft.clone(),
            reads: self.journal_reads(),
            clocks: views.clocks.clone(),
            freshness: freshness.clone(),
            empty_copies: views.empty_copies.clone(),
            state: self.state.clone(),
            memory: views.memory.clone(),
            mismatches: Arc::default(),
            held_records: Arc::default(),
        }
    }

    /// Compares this site's digests with the others'.
    fn comparison(&self, lead: &watch::Receiver<Lead>, views: &PeerViews) -> DigestComparison {
        DigestComparison {
            transport: self.transport.clone(),
            memory: views.memory.clone(),
            state: self.state.clone(),
            lead: lead.clone(),
            others: self.others(),
            metrics: self.metrics.clone(),
        }
    }

    /// Learns and judges the clocks of all sites.
    fn clock_rounds(&self, views: &PeerViews) -> ClockRounds {
        ClockRounds {
            transport: self.transport.clone(),
            memory: views.memory.clone(),
            clocks: views.clocks.clone(),
            state: self.state.clone(),
        }
    }

    fn handover(&self, raft: &Raft, views: &PeerViews, lead: &watch::Receiver<Lead>) -> Handover {
        Handover {
            raft: raft.clone(),
            journal: self.journal.clone(),
            state: self.state.clone(),
            book: views.book.clone(),
            clocks: views.clocks.clone(),
            lead: lead.clone(),
        }
    }

    /// Hands the primary role over when this site can't do its work.
    fn handover_trigger(&self, handover: &Handover, views: &PeerViews) -> HandoverTrigger {
        HandoverTrigger {
            handover: handover.clone(),
            journal: self.journal.clone(),
            gate: views.gate.clone(),
            empty_copies: views.empty_copies.clone(),
            state: self.state.clone(),
            timeline: self.timeline.clone(),
        }
    }

    /// The primary's exit of the road, and the reads that come to it.
    fn primary_exit(
        &self,
        queue: &Arc<Queue>,
        views: &PeerViews,
    ) -> (PrimaryExit, mpsc::Receiver<Ticket>) {
        let (state, metrics) = (self.state.clone(), self.metrics.clone());
        let repeats = RepeatParts { queue: queue.clone(), state, metrics };
        let (journal, book) = (self.journal.clone(), views.book.clone());
        PrimaryExit::new(repeats, journal, book, self.members.len())
    }

    fn stamps(&self, views: &PeerViews) -> Stamps {
        Stamps::new(self.clock.clone(), views.clocks.clone(), self.state.clone())
    }

    fn keyring(&self, road: &Arc<Road>, freshness: &Arc<Freshness>) -> Arc<Keyring> {
        let trusted_for = self.timing.heartbeat * KEYS_TRUSTED_HEARTBEATS;
        let (state, road, freshness) = (self.state.clone(), road.clone(), freshness.clone());
        Arc::new(Keyring::new(state, road, freshness, trusted_for))
    }
}

/// This node's views of its peers. Each task gets only those that it needs.
struct PeerViews {
    book: Arc<PeerBook>,
    clocks: Arc<PeerClocks>,
    majority: Arc<Majority>,
    gate: Arc<MuteGate>,
    empty_copies: Arc<EmptyCopies>,
    freshness: Arc<Freshness>,
    memory: Arc<PeerMemory>,
}

/// Running replication.
pub struct Replication {
    pub raft: Raft,
    pub road: Arc<Road>,
    pub keyring: Arc<Keyring>,
    pub queue: Arc<Queue>,
    pub book: Arc<PeerBook>,
    pub clocks: Arc<PeerClocks>,
    pub freshness: Arc<Freshness>,
    pub lead: watch::Receiver<Lead>,
    pub handover: Handover,
    pub door: PeerDoor,
    tasks: JoinSet<()>,
}

/// Why replication can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("replication can't start: {0}")]
    Engine(String),
    #[error("the marker of an empty copy can't be read or written: {0}")]
    EmptyCopy(std::io::Error),
    #[error("this start can't be recorded: {0}")]
    Memory(std::io::Error),
}

impl Replication {
    /// Starts the engine and its tasks on the runtime that this is called on.
    ///
    /// # Errors
    /// When the engine refuses the journal's contents, or the data folder can't be written.
    pub async fn start(parts: ReplicationParts) -> Result<Self, StartError> {
        let empty = parts.journal.newest_tip().is_none();
        let views = parts.peer_views().await?;
        if views.empty_copies.is_joining() {
            tracing::warn!(
                "this copy began empty or was put back by hand: it counts for nothing until a primary has filled it, \
                 or all sites of a new cluster are up"
            );
        }
        let store = LogStore::new(parts.journal_reads(), parts.vote, parts.applied);
        let machine = StateMachine::new(
            parts.state.clone(),
            parts.journal_reads(),
            parts.applied,
            parts.membership.clone(),
            parts.metrics.clone(),
        );
        let engine = |why: String| StartError::Engine(why);
        let config = config(&parts.timing).validate().map_err(|error| engine(error.to_string()))?;
        let network = parts.network(&views);
        let raft = Raft::build(parts.node, Arc::new(config), network, store, machine)
            .await
            .map_err(|error| engine(error.to_string()))?;
        views.majority.attach(raft.clone());
        raft.run();
        if empty {
            bootstrap_membership(&raft, &parts.members).await.map_err(engine)?;
        }
        Ok(Self::start_tasks(raft, parts, views))
    }

    fn start_tasks(raft: Raft, parts: ReplicationParts, views: PeerViews) -> Self {
        let freshness = views.freshness.clone();
        let (memory, transport) = (views.memory.clone(), parts.transport.clone());
        let (lead_sender, lead) = watch::channel(Lead::Nowhere);
        let queue = Arc::new(Queue::default());
        let (here, reads) = parts.primary_exit(&queue, &views);
        let (there, forwards) = FollowerExit::new();
        let road = Arc::new(Road::new(lead.clone(), Arc::new(here), Arc::new(there)));
        let stamps = parts.stamps(&views);
        let keyring = parts.keyring(&road, &freshness);
        let door = parts.door(&raft, &freshness, &views);
        let comparison = parts.comparison(&lead, &views);
        let clock_rounds = parts.clock_rounds(&views);
        let handover = parts.handover(&raft, &views, &lead);
        let trigger = parts.handover_trigger(&handover, &views);
        let keeper = LeadKeeper::new(LeadKeeperParts {
            raft: raft.clone(),
            journal: parts.journal.clone(),
            state: parts.state.clone(),
            majority: views.majority,
            gate: views.gate,
            empty_copies: views.empty_copies,
            freshness: freshness.clone(),
            timing: parts.timing,
            genesis: parts.genesis,
            clocks: views.clocks.clone(),
            timeline: parts.timeline,
            lead: lead_sender,
            metrics: parts.metrics.clone(),
            term: parts.vote.map_or(0, |vote| vote.leader_id.term),
        });
        let upkeep = Upkeep::new(parts.state.clone(), parts.journal.clone());
        let batcher = Batcher::new(
            queue.clone(),
            raft.clone(),
            road.clone(),
            stamps,
            upkeep,
            SealingPace::new(parts.journal.clone()),
            lead.clone(),
            parts.metrics,
        );
        let forwarder =
            Forwarder::new(parts.transport.clone(), road.clone(), lead.clone(), forwards);
        let attended = road.clone();
        let reads = reads::serve(reads, raft.clone(), road.clone(), parts.state.clone());
        let all: [(&str, BoxFuture<'static, ()>); 9] = [
            ("the lead's keeper", keeper.run().boxed()),
            ("the handover's trigger", trigger.run().boxed()),
            ("the batcher", batcher.run().boxed()),
            ("the comparison of digests", comparison.run().boxed()),
            ("the rounds of clocks", clock_rounds.run().boxed()),
            ("the memory of the copies", memory.run(transport, lead.clone()).boxed()),
            ("the forwarder", forwarder.run().boxed()),
            ("the reader", reads.boxed()),
            ("the road's waiting room", async move { attended.drain_waiting().await }.boxed()),
        ];
        let tasks = spawn_watched(&parts.state, all);
        Self {
            raft,
            road,
            keyring,
            queue,
            book: views.book,
            clocks: views.clocks,
            freshness,
            lead,
            handover,
            door,
            tasks,
        }
    }

    /// Stops the engine and every task. Nothing that was acknowledged depends on it.
    pub async fn stop(mut self) {
        let _already_stopped = self.raft.shutdown().await;
        self.tasks.shutdown().await;
    }
}

/// Starts tasks that run until the engine stops: one that ends by itself fails the node.
fn spawn_watched<const COUNT: usize>(
    state: &Arc<AppliedState>,
    all: [(&'static str, BoxFuture<'static, ()>); COUNT],
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (what, task) in all {
        tasks.spawn(state.clone().watch_task(what, task));
    }
    tasks
}

/// The first membership of an empty journal. Every site writes the same record, so it doesn't
/// matter whose election wins.
async fn bootstrap_membership(raft: &Raft, members: &[NodeId]) -> Result<(), String> {
    let members: BTreeMap<NodeId, types::EngineNode> =
        members.iter().map(|node| (*node, types::EngineNode::default())).collect();
    match raft.initialize(members).await {
        Ok(()) => Ok(()),
        // A peer's records arrived first.
        Err(RaftError::APIError(openraft::errors::InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn gate_times(timing: &Timing) -> GateTimes {
    let lease = timing.election_max;
    GateTimes {
        lease: lease + timing.heartbeat * 2,
        mute: lease + timing.election_max + timing.election_max / 2,
        window: lease,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a profile's times are short")
}

fn config(timing: &Timing) -> Config {
    Config {
        cluster_name: "evenkeel".into(),
        heartbeat_interval: millis(timing.heartbeat),
        heartbeat_min_interval: Some(millis(timing.heartbeat / 2)),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        install_snapshot_timeout: 600_000,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX / 2,
        purge_batch_size: 65_536,
        max_payload_entries: 4_096,
        max_append_entries: Some(4_096),
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        ..Config::default()
    }
}
