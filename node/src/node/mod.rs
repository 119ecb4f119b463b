//! One node from start to stop: opens what is on disk, connects to its peers, supervises, and shuts
//! down in order.
//!
//! ```text
//! journal   a thread: write, fdatasync, report
//! raft      a runtime of one thread: replication, peers, apply
//! doors     a runtime of one thread: clients, HTTP, admin
//! keeper    a low-priority thread: seal, checkpoint, audit
//! ```
//! It stops by itself, with the reason, when money doesn't add up, the disk fails, or replication
//! has stopped. It never goes on with a copy that may be wrong.

mod doors;
mod folder;
mod keeper_thread;
mod parts;
mod peering;
mod shutdown;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use evenkeel_storage::{
    balances::CheckpointError,
    journal::{Journal, OpenError},
    superblock::ClaimError,
};
use evenkeel_wire::{
    endpoint::BindError,
    identity::{Identity, IdentityError},
};
use serde_json::json;
use tokio::{runtime, sync::watch, time::Instant};

use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    gateway::{admin, http},
    limits::BLOCKING_THREADS_MAX,
    metrics::Metrics,
    replay::recovery::{RecoveryError, check_genesis},
    replication::engine::{Replication, StartError},
    state::AppliedState,
    telemetry::{Telemetry, timeline::Timeline},
};
use doors::{Doors, OpenDoors};
use folder::DataFolder;
use keeper_thread::{keeper, spawn_keeper};
use parts::NodeParts;
use peering::Peering;
use shutdown::{hand_over_role, supervise};

/// Why a node didn't start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(
        "{0}; this copy neither votes nor serves, and needs the damaged part from a peer: see *Damaged journal* in docs/OPERATIONS.md"
    )]
    Damaged(String),
    /// The copy is whole, but must not simply be started again.
    #[error("stopped for good: {0}")]
    StoppedForGood(String),
    #[error(transparent)]
    Journal(OpenError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("the balances' folder: {0}")]
    Balances(#[from] CheckpointError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error(
        "{0}; this node needs tls.ca, tls.cert and tls.key as `evenkeel cluster new` or `cluster cert` makes them for it"
    )]
    Identity(#[from] IdentityError),
    #[error("{0}; stop it, or listen elsewhere: listen.peer and listen.client in node.toml")]
    Bind(#[from] BindError),
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    #[error(transparent)]
    Http(#[from] http::ListenError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("stopped: {0}")]
    Unwell(String),
}

/// A number that no other copy has.
fn random_number() -> Result<u64, RunError> {
    getrandom::u64()
        .map_err(|error| io_error("asking for randomness")(io::Error::other(error.to_string())))
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { what, source }
}

/// How long each step of a stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a node that stops because of a fault.
const UNWELL_PATIENCE: Duration = Duration::from_secs(1);

/// Runs a node until a signal (SIGTERM, SIGINT) or a fault stops it.
///
/// # Errors
/// Why it didn't start, or why it stopped by itself.
pub fn run(config: Config, telemetry: Telemetry) -> Result<(), RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let identity = Identity::load_node(&config.tls.ca, &config.tls.cert, &config.tls.key)?;
    identity.check_subject(config.cluster, config.node)?;
    warn_of_expiry(&identity, &*clock);
    let opened = folder::open(&config)?;
    let timeline =
        Timeline::open(&config.data, clock.clone()).map_err(io_error("opening the timeline"))?;
    telemetry.record_alarms_in(&timeline);
    timeline
        .record("started", json!({ "version": env!("CARGO_PKG_VERSION"), "node": config.node }));
    let config = Arc::new(config);
    let raft = runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("raft")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(io_error("starting a runtime"))?;
    let result =
        raft.block_on(run_node(config, identity, opened, timeline.clone(), telemetry, clock));
    match &result {
        Ok(()) => timeline.record("stopped", json!({})),
        Err(error) => timeline.record("stopped_by_itself", json!({ "why": error.to_string() })),
    }
    // The journal's writer has ended, so a task that hangs does no harm.
    raft.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Warns before the certificate expires, because that takes the site out of the cluster.
fn warn_of_expiry(identity: &Identity, clock: &dyn Clock) {
    let now = i64::try_from(clock.wall_millis() / 1_000).unwrap_or(i64::MAX);
    let days = identity.expires_at().saturating_sub(now) / 86_400;
    if days < 30 {
        tracing::warn!(
            days,
            "this node's certificate ends soon: make a new one with `evenkeel cluster cert`"
        );
    }
}

async fn run_node(
    config: Arc<Config>,
    identity: Identity,
    opened: DataFolder,
    timeline: Timeline,
    telemetry: Telemetry,
    clock: Arc<dyn Clock>,
) -> Result<(), RunError> {
    let DataFolder {
        claim,
        disk,
        journal,
        writer,
        recovery,
        recovered,
        checkpoints,
        reopen,
        volatile,
    } = opened;
    check_genesis(&recovered.state, &config.genesis)?;
    let (stop, stopping) = watch::channel(false);
    let peering = Peering::bind(&config, identity.clone())?;
    let doors = Doors::bind(&config, identity, stopping.clone(), volatile)?;
    let metrics = start_metrics(&journal);
    let writer = spawn("journal", move || writer.run())?;
    let state = recovered.state.clone();
    let keeper = keeper(&state, &journal, &disk, checkpoints, reopen);
    let keeper = spawn_keeper(keeper, &state, stopping.clone())?;
    let parts = NodeParts {
        config: config.clone(),
        clock: clock.clone(),
        journal: journal.clone(),
        state: state.clone(),
        timeline: timeline.clone(),
        metrics: metrics.clone(),
        transport: peering.transport().clone(),
    };
    let replication = Replication::start(parts.replication(disk, &recovery, recovered)?).await?;
    let peering_task = peering.serve(&replication, state.clone(), &metrics);
    let operations = Arc::new(parts.operations(&replication, volatile, stopping));
    let doors = doors.open(&replication, &state, operations, timeline, telemetry, clock)?;
    let running =
        RunningNode { stop, doors, peering, peering_task, replication, journal, keeper, writer };
    log_running(&config);
    let why = supervise(&running.replication, &running.journal, &state).await;
    if why.is_none() {
        tracing::info!("stopping on a signal");
        hand_over_role(&running.replication.handover).await;
    }
    // After a fault any step may hang.
    running.stop(if why.is_some() { UNWELL_PATIENCE } else { STOP_PATIENCE }).await;
    drop(claim);
    exit_result(why, &state)
}

fn exit_result(why: Option<String>, state: &AppliedState) -> Result<(), RunError> {
    match why {
        None => Ok(()),
        Some(why) if state.is_failed_for_good() => Err(RunError::StoppedForGood(why)),
        Some(why) if state.is_damaged() => Err(RunError::Damaged(why)),
        Some(why) => Err(RunError::Unwell(why)),
    }
}

/// The metrics, which count the journal's syncs from the first one on.
fn start_metrics(journal: &Journal) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new());
    journal.watch_syncs(metrics.syncs().clone());
    metrics
}

fn log_running(config: &Config) {
    tracing::info!(
        site = config.site,
        node = config.node,
        peer = %config.listen.peer,
        client = %config.listen.client,
        http = %config.listen.http,
        admin = %config.socket.display(),
        "running"
    );
}

/// Everything that must be stopped, in this order.
struct RunningNode {
    stop: watch::Sender<bool>,
    doors: OpenDoors,
    peering: Peering,
    peering_task: tokio::task::JoinHandle<()>,
    replication: Replication,
    journal: Journal,
    keeper: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl RunningNode {
    async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        self.doors.close().await;
        self.peering_task.abort();
        let stopped = tokio::time::timeout(patience, self.replication.stop()).await;
        if stopped.is_err() {
            tracing::warn!("replication didn't stop in time");
        }
        self.peering.close().await;
        self.journal.close();
        let end = Instant::now() + patience;
        join(self.keeper, "keeper", end).await;
        join(self.writer, "journal", end).await;
    }
}

fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RunError> {
    thread::Builder::new().name(name.into()).spawn(work).map_err(io_error("starting a thread"))
}

/// Waits until a thread ends, but not for a disk that hangs: data that isn't durable was never
/// acknowledged.
async fn join(thread: JoinHandle<()>, name: &str, end: Instant) {
    while !thread.is_finished() {
        if Instant::now() >= end {
            return tracing::error!(name, "a thread hangs and is left behind");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    if thread.join().is_err() {
        tracing::error!(name, "a thread ended by a panic");
    }
}
