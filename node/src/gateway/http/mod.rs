//! The HTTP door: all of docs/API.md, on every node. Routes are one file per resource; each parses, asks admission, puts
//! the request on the road, and describes what came of it.
//!
//! ```text
//! server ─▶ routes ─▶ head (who, how long) ─▶ json (what) ─▶ submit / look ─▶ describe ─▶ bytes
//!   bounds              problem, whatever isn't done ◀──────────┴──────────────┘
//! ```
//! It never decides about money, never keeps a key, and never says that nothing was done when it isn't sure.

// What every request goes through.

pub(crate) mod answer;
pub(crate) mod connection;
mod openapi;
mod reads;
pub(crate) mod request;
pub(crate) mod resources;
mod routes;
mod submit;

use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use crate::{
    admission::{Keyring, quota::Quota},
    history::Settlement,
    limits::{EVENT_READS_MAX, EVENT_STREAMS_MAX},
    metrics::DoorMetrics,
    operator::health::Health,
    road::Road,
    state::{AppliedState, freshness::Freshness},
};
use answer::problem::{Code, Problem};
use connection::bodies::BodyMemory;
pub use connection::server::{HttpServer, ListenError};
pub use connection::tls::TlsError;
use request::head::RequestIds;

/// What the door's routes need of the node.
pub struct HttpDoorParts {
    pub road: Arc<Road>,
    pub state: Arc<AppliedState>,
    pub keyring: Arc<Keyring>,
    pub freshness: Arc<Freshness>,
    pub health: Arc<dyn Health>,
    pub metrics: Arc<DoorMetrics>,
    pub quota: Quota,
    /// Set when the node begins to stop.
    pub stopping: watch::Receiver<bool>,
    /// A number that no other process has: request ids begin with it.
    pub process: u64,
}

/// What every request needs.
pub(crate) struct HttpDoor {
    road: Arc<Road>,
    state: Arc<AppliedState>,
    keyring: Arc<Keyring>,
    freshness: Arc<Freshness>,
    health: Arc<dyn Health>,
    metrics: Arc<DoorMetrics>,
    quota: Quota,
    stopping: watch::Receiver<bool>,
    bodies: BodyMemory,
    request_ids: RequestIds,
    /// Places for readers of events.
    event_streams: Arc<Semaphore>,
    /// Turns to read events from the journal.
    event_reads: Arc<Semaphore>,
    /// Whose turn it is to work out a settlement.
    settling: Arc<Semaphore>,
    /// The settlement that was worked out last: a closed day never changes.
    settled: Arc<Mutex<Option<Arc<Settlement>>>>,
}

impl HttpDoor {
    fn new(parts: HttpDoorParts) -> Self {
        let HttpDoorParts {
            road,
            state,
            keyring,
            freshness,
            health,
            metrics,
            quota,
            stopping,
            process,
        } = parts;
        Self {
            road,
            state,
            keyring,
            freshness,
            health,
            metrics,
            quota,
            stopping,
            bodies: BodyMemory::default(),
            request_ids: RequestIds::new(process),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            event_reads: Arc::new(Semaphore::new(EVENT_READS_MAX)),
            settling: Arc::new(Semaphore::new(1)),
            settled: Arc::default(),
        }
    }

    fn check_open(&self) -> Result<(), Problem> {
        if *self.stopping.borrow() {
            let detail = "this site is shutting down; nothing was done";
            return Err(Problem::new(Code::Stopping, detail).closing());
        }
        Ok(())
    }
}
