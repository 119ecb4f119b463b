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

mod descriptors;
mod doors;
mod folder;
mod keeper_thread;
mod parts;
mod peering;
mod shutdown;
mod signals;

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
    clock::{Clock, SystemClock, format_span},
    config::Config,
    gateway::{admin, http},
    limits::{BLOCKING_THREADS_MAX, DESCRIPTORS_MIN, LOG_FLUSH_PATIENCE},
    metrics::Metrics,
    operator::{clock_alarms, introductions::Introductions, peer_watch::PeerWatch},
    replay::recovery::{RecoveryError, check_genesis},
    replication::engine::{Replication, StartError},
    state::AppliedState,
    telemetry::{SiteNames, Telemetry, panic_if_planted, timeline::Timeline},
};
use descriptors::{DescriptorBudget, claim_descriptors};
use doors::{Doors, OpenDoors};
use folder::DataFolder;
use keeper_thread::{keeper, spawn_keeper};
use parts::NodeParts;
use peering::Peering;
use shutdown::{hand_over_role, supervise};
pub use signals::Signals;

/// Why a node didn't start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(
        "{0}; this copy neither votes nor serves, and needs the damaged part from a peer: see *Damaged journal* in docs/OPERATIONS.md"
    )]
    Damaged(String),
    #[error("{0}; nothing says that it's damaged: start again when the cause is gone")]
    Unread(String),
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
    #[error(
        "this process may open {limit} files, and a node needs {}: raise LimitNOFILE= or `ulimit -n`",
        DESCRIPTORS_MIN
    )]
    FewDescriptors { limit: u64 },
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("{0}")]
    Unwell(String),
    #[error(
        "{0}; this copy isn't what the others have, so don't just start it again: see *Log lines that need attention* in docs/OPERATIONS.md"
    )]
    Broken(String),
}

impl RunError {
    /// Whether a new start can't help, and may do harm: a person must look first.
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Broken(_))
    }
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

/// Runs a node until a signal (SIGTERM, SIGINT) or a fault stops it. Its log has one line why.
///
/// # Errors
/// Why it didn't start, or why it stopped by itself; already logged.
pub fn run(config: Config, telemetry: Telemetry, signals: Signals) -> Result<(), RunError> {
    let mut lifetime = Lifetime { begun: Instant::now(), running: None };
    log_start(&config);
    let result = open_and_run(config, telemetry.clone(), signals, &mut lifetime);
    log_end(&result, &lifetime);
    telemetry.flush();
    result
}

/// When a process began, and since when its node runs.
struct Lifetime {
    begun: Instant,
    running: Option<Instant>,
}

fn open_and_run(
    config: Config,
    telemetry: Telemetry,
    signals: Signals,
    lifetime: &mut Lifetime,
) -> Result<(), RunError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let flushed = telemetry.clone();
    signals.on_early_end(move || flushed.flush());
    let identity = Identity::load_node(&config.tls.ca, &config.tls.cert, &config.tls.key)?;
    identity.check_subject(config.cluster, config.node)?;
    warn_of_expiry(&identity, &*clock);
    let descriptors = claim_descriptors()?;
    let opened = folder::open(&config)?;
    opened.recovered.state.history().indexes().limit_open_files(descriptors.index_files);
    let timeline = Timeline::open(&config.data, clock.clone());
    let timeline = timeline.map_err(io_error("opening the timeline"))?;
    let timeline = timeline.with_names(SiteNames::new(&config.site, &config.members));
    telemetry.record_alarms_in(&timeline);
    let after_crash = log_crash(&timeline);
    timeline.record(
        "started",
        json!({ "version": env!("CARGO_PKG_VERSION"), "node": config.node, "after_crash": after_crash }),
    );
    let (ended, flushed) = (timeline.clone(), telemetry.clone());
    signals.on_early_end(move || {
        ended.record_last("stopped", json!({ "before": "the start was done" }), LOG_FLUSH_PATIENCE);
        flushed.flush();
    });
    let config = Arc::new(config);
    let raft = runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("raft")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(io_error("starting a runtime"))?;
    let outside =
        NodeSurroundings { descriptors, timeline: timeline.clone(), telemetry, clock, signals };
    let result = raft.block_on(run_node(config, identity, opened, outside, lifetime));
    let (event, details) = match &result {
        Ok(()) => ("stopped", json!({})),
        Err(error) => ("stopped_by_itself", json!({ "why": error.to_string() })),
    };
    timeline.record_last(event, details, LOG_FLUSH_PATIENCE);
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

/// The first line of every start: which program runs here, as what, and with which settings.
fn log_start(config: &Config) {
    let sites: Vec<&str> = config.members.iter().map(|member| member.site.as_str()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = config.node,
        cluster = config.name,
        id = %config.cluster,
        profile = config.profile.name(),
        sites = sites.join(","),
        data = %config.data.display(),
        peer_port = %config.listen.peer,
        client_port = %config.listen.client,
        http_port = %config.listen.http,
        tls = config.http_tls.is_some(),
        log = config.log.filter,
        pid = std::process::id(),
        "starting"
    );
    if let Some(warning) = config.ignored_variables_warning() {
        tracing::warn!("{warning}");
    }
}

/// Says so if the run before this one recorded no stop. Returns whether it did.
fn log_crash(timeline: &Timeline) -> bool {
    let last = match timeline.last_event() {
        Ok(Some(last)) => last,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(%error, "the timeline can't be read: nobody knows how the last run ended");
            return false;
        }
    };
    let ended = ["stopped", "stopped_by_itself"].contains(&last.event.as_str());
    if !ended {
        tracing::warn!(
            last_event = last.event,
            at = last.time,
            "this start follows a crash: the run before it recorded no stop (killed, out of memory, or the machine failed)"
        );
    }
    !ended
}

/// The last line of every run: why it ended, and how long it ran.
fn log_end(result: &Result<(), RunError>, lifetime: &Lifetime) {
    let Some(running) = lifetime.running else {
        let took = format_span(lifetime.begun.elapsed());
        let Err(error) = result else { return };
        return tracing::error!(took, "not started: {error}");
    };
    let ran = format_span(running.elapsed());
    match result {
        Ok(()) => tracing::info!(ran, "stopped"),
        Err(error) => tracing::error!(ran, "stopped by itself: {error}"),
    }
}

/// What a node finds when it starts, and leaves behind.
struct NodeSurroundings {
    descriptors: DescriptorBudget,
    timeline: Timeline,
    telemetry: Telemetry,
    clock: Arc<dyn Clock>,
    signals: Signals,
}

async fn run_node(
    config: Arc<Config>,
    identity: Identity,
    opened: DataFolder,
    outside: NodeSurroundings,
    lifetime: &mut Lifetime,
) -> Result<(), RunError> {
    let NodeSurroundings { descriptors, timeline, telemetry, clock, signals } = outside;
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
    let places = descriptors.http_connections;
    let doors = Doors::bind(&config, identity, stopping.clone(), volatile, places)?;
    let metrics = start_metrics(&journal);
    let writer = spawn_node_thread("journal", move || {
        panic_if_planted("journal");
        writer.run();
    })?;
    let state = recovered.state.clone();
    state.start_read_threads().map_err(io_error("starting the threads that read files"))?;
    let keeper = keeper(&state, &journal, &disk, checkpoints, reopen, metrics.keeper().clone());
    let keeper = spawn_keeper(keeper, &state, claim.folder_watch(), stopping.clone())?;
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
    let reports = replication.clocks.watch_report();
    let clocks = clock_alarms::report_clocks(reports, config.clone(), timeline.clone());
    let clocks = tokio::spawn(state.clone().watch_task("the watch of the clocks", clocks));
    let introductions = Arc::new(Introductions::new(config.clone(), state.clone()));
    let peering_task = peering.serve(&replication, state.clone(), &metrics, introductions.clone());
    let shown = introductions.clone();
    let operations =
        Arc::new(parts.operations(&replication, shown, telemetry.clone(), volatile, stopping));
    let watch = PeerWatch {
        operations: operations.clone(),
        introductions,
        empty_copies: replication.door.empty_copies.clone(),
        road: replication.road.clone(),
    };
    let watching = tokio::spawn(state.clone().watch_task("the watch of the peers", watch.run()));
    let doors = doors.open(&replication, &state, operations, timeline, telemetry, clock)?;
    let peer_tasks = [peering_task, watching, clocks];
    let running =
        RunningNode { stop, doors, peering, peer_tasks, replication, journal, keeper, writer };
    log_running(&config, lifetime);
    let signalled = signals.begin_running();
    let why = supervise(signalled, &running.replication, &running.journal, &state).await;
    if why.is_none() {
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
        Some(why) if state.is_damaged() => Err(RunError::Damaged(why)),
        Some(why) if state.is_broken() => Err(RunError::Broken(why)),
        Some(why) => Err(RunError::Unwell(why)),
    }
}

/// The metrics, which count the journal's syncs from the first one on.
fn start_metrics(journal: &Journal) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new());
    journal.watch_syncs(metrics.syncs().clone());
    metrics
}

fn log_running(config: &Config, lifetime: &mut Lifetime) {
    let now = Instant::now();
    let took = format_span(now - lifetime.begun);
    lifetime.running = Some(now);
    tracing::info!(took, admin = %config.socket.display(), "running");
}

/// Everything that must be stopped, in this order.
struct RunningNode {
    stop: watch::Sender<bool>,
    doors: OpenDoors,
    peering: Peering,
    peer_tasks: [tokio::task::JoinHandle<()>; 3],
    replication: Replication,
    journal: Journal,
    keeper: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl RunningNode {
    async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        self.doors.close().await;
        for task in self.peer_tasks {
            task.abort();
        }
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

/// Starts a thread of the node. A panic in it ends the process, as everywhere.
fn spawn_thread(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}

fn spawn_node_thread(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RunError> {
    spawn_thread(name, work).map_err(io_error("starting a thread"))
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
