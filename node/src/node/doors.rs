//! The doors' own runtime, on a thread of its own: a flood of clients must not delay a heartbeat.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use evenkeel_wire::{
    endpoint::{ClientEndpoint, ClientSettings},
    identity::Identity,
    transfer::Text,
};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    runtime::{Handle, Runtime},
    sync::watch,
};

use super::{RunError, io_error, spawn_node_thread};
use crate::{
    admission::quota::Quota,
    clock::Clock,
    config::Config,
    gateway::{
        admin::{AdminDoor, AdminSocket},
        client::ClientDoor,
        http::{self, HttpPlaces, HttpServer},
    },
    limits::{
        BLOCKING_THREADS_MAX, CLIENT_CONNECTIONS_MAX, CLIENT_PAGES_BYTES_MAX, HTTP_CONNECTIONS_MAX,
    },
    metrics::DoorKind,
    operator::node_operations::NodeOperations,
    replication::engine::Replication,
    road::shares::KeyShares,
    state::AppliedState,
    telemetry::{Telemetry, timeline::Timeline},
};

/// A runtime that may be dropped on the node's own runtime, when a start fails. A plain [`Runtime`]
/// would wait there for its tasks, and tokio panics instead.
struct IsolatedRuntime(Option<Runtime>);

impl IsolatedRuntime {
    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("taken only when the doors are opened").handle()
    }

    fn into_runtime(mut self) -> Runtime {
        self.0.take().expect("taken only when the doors are opened")
    }
}

impl Drop for IsolatedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Doors that are bound but not open: a port in use fails the start before anything runs.
pub(crate) struct Doors {
    runtime: IsolatedRuntime,
    clients: ClientEndpoint,
    admin: AdminSocket,
    http: HttpServer,
    config: Arc<Config>,
    stopping: watch::Receiver<bool>,
    volatile: bool,
}

/// Open doors.
pub(crate) struct OpenDoors {
    thread: JoinHandle<()>,
}

impl Doors {
    pub(crate) fn bind(
        config: &Arc<Config>,
        identity: Identity,
        stopping: watch::Receiver<bool>,
        volatile: bool,
        http_connections: usize,
    ) -> Result<Self, RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("doors")
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(io_error("starting a runtime"))?;
        let runtime = IsolatedRuntime(Some(runtime));
        let inside = runtime.handle().enter();
        let per_address = |all| connections_per_address(config, all);
        let settings = ClientSettings {
            connections_max: CLIENT_CONNECTIONS_MAX,
            connections_per_address: per_address(CLIENT_CONNECTIONS_MAX),
            ..ClientSettings::default()
        };
        let clients = ClientEndpoint::bind(config.listen.client, identity, settings)?;
        let admin = AdminSocket::bind(&config.socket)?;
        let all = http_connections.min(HTTP_CONNECTIONS_MAX);
        let places = HttpPlaces { all, per_address: per_address(all) };
        let http = HttpServer::bind(config.listen.http, config.http_tls.as_ref(), places)?;
        drop(inside);
        Ok(Self { runtime, clients, admin, http, config: config.clone(), stopping, volatile })
    }

    pub(crate) fn open(
        self,
        replication: &Replication,
        state: &Arc<AppliedState>,
        operations: Arc<NodeOperations>,
        timeline: Timeline,
        telemetry: Telemetry,
        clock: Arc<dyn Clock>,
    ) -> Result<OpenDoors, RunError> {
        let Self { runtime, clients, admin, http, config, stopping, volatile } = self;
        let quota = Arc::new(Quota::new(config.rates));
        let client_door = Arc::new(ClientDoor {
            quota: quota.clone(),
            pages: KeyShares::new(CLIENT_PAGES_BYTES_MAX),
            road: replication.road.clone(),
            state: state.clone(),
            keyring: replication.keyring.clone(),
            freshness: replication.freshness.clone(),
            cluster: config.cluster,
            node: config.node,
            site: Text::new(&config.site).expect("a site's name is checked by the configuration"),
            volatile,
            stopping: stopping.clone(),
            metrics: operations.metrics.door(DoorKind::Quic).clone(),
        });
        let http_parts = http::HttpDoorParts {
            road: replication.road.clone(),
            state: state.clone(),
            keyring: replication.keyring.clone(),
            freshness: replication.freshness.clone(),
            health: operations.clone(),
            metrics: operations.metrics.door(DoorKind::Http).clone(),
            quota,
            stopping: stopping.clone(),
            process: clock.wall_micros(),
        };
        let failing = state.clone();
        let admin_door = AdminDoor { operations, timeline, telemetry, clock };
        let serve = async move {
            let clients = Arc::new(clients);
            let (mut stop, ended) = (stopping.clone(), stopping.clone());
            let watch = |what, door| watch_door(what, door, &failing, &ended);
            tokio::join!(
                watch(
                    "the admin socket",
                    admin_door.serve(admin, async move { wait_for_stop(&mut stop).await }).boxed()
                ),
                watch("the clients' port", serve_clients(client_door, clients, stopping).boxed()),
                watch("the HTTP port", http.serve(http_parts).boxed())
            );
        };
        let runtime = runtime.into_runtime();
        let thread = spawn_node_thread("doors", move || {
            runtime.block_on(serve);
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(OpenDoors { thread })
    }
}

/// How many of a port's places one address may have.
fn connections_per_address(config: &Config, all: usize) -> usize {
    match config.connections_per_address {
        None => all.div_ceil(2),
        Some(0) => all,
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX).min(all),
    }
}

/// Serves a door. One that ends before the node stops leaves clients outside: the node fails.
async fn watch_door(
    what: &str,
    door: BoxFuture<'static, ()>,
    state: &AppliedState,
    stopping: &watch::Receiver<bool>,
) {
    door.await;
    if !*stopping.borrow() {
        state.fail(&format!("{what} can't be served any longer: the log above has the reason"));
    }
}

/// Waits until the node is stopping.
async fn wait_for_stop(stopping: &mut watch::Receiver<bool>) {
    while !*stopping.borrow_and_update() {
        if stopping.changed().await.is_err() {
            return;
        }
    }
}

/// Serves until the node stops; then requests under way have a moment to be answered.
async fn serve_clients(
    door: Arc<ClientDoor>,
    clients: Arc<ClientEndpoint>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut serving = tokio::spawn(door.serve(clients.clone()));
    tokio::select! {
        () = wait_for_stop(&mut stopping) => {}
        _ = &mut serving => return,
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    clients.close();
    serving.abort();
    let _closed_or_not =
        tokio::time::timeout(Duration::from_millis(500), clients.wait_closed()).await;
}

impl OpenDoors {
    /// Waits until the doors are closed. They close when the node stops.
    pub(crate) async fn close(self) {
        // Joined on another thread: on this one replication still delivers replies.
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the doors ended by a panic");
        }
    }
}
