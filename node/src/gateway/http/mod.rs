//! The HTTP door: all of docs/API.md, on every node. Each resource has one file of routes; a route
//! parses, runs admission, routes the request and describes the result.
//!
//! ```text
//! connection ─▶ routes ─▶ resources ─▶ request ─▶ submit / reads ─▶ answer ─▶ bytes
//!  bounds on     one per    one file     head,       the road        outcome
//!  time, memory  URL        each         body        and back        or problem
//! ```
//! It never decides about money, never keeps a key, and never says that nothing was done if that
//! isn't certain.

pub(crate) mod answer;
pub(crate) mod connection;
mod openapi;
mod reads;
pub(crate) mod request;
pub(crate) mod resources;
mod routes;
mod submit;

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::{
    admission::{Keyring, quota::Quota},
    history::Settlement,
    limits::{EVENT_READS_MAX, EVENT_STREAMS_MAX},
    metrics::DoorMetrics,
    operator::health::Health,
    road::{Road, shares::KeyShares, turns::KeyTurns},
    state::{AppliedState, freshness::Freshness},
};
use answer::problem::{Code, Problem};
use connection::bodies::BodyMemory;
pub use connection::server::{HttpPlaces, HttpServer, ListenError};
pub use connection::tls::TlsError;
use request::head::RequestIds;

/// The parts of the node that the routes need.
pub struct HttpDoorParts {
    pub road: Arc<Road>,
    pub state: Arc<AppliedState>,
    pub keyring: Arc<Keyring>,
    pub freshness: Arc<Freshness>,
    pub health: Arc<dyn Health>,
    pub metrics: Arc<DoorMetrics>,
    pub quota: Arc<Quota>,
    /// Becomes true when the node begins to stop.
    pub stopping: watch::Receiver<bool>,
    /// A number unique to this process: request ids begin with it.
    pub process: u64,
}

/// The parts that every request needs.
pub(crate) struct HttpDoor {
    road: Arc<Road>,
    state: Arc<AppliedState>,
    keyring: Arc<Keyring>,
    freshness: Arc<Freshness>,
    health: Arc<dyn Health>,
    metrics: Arc<DoorMetrics>,
    quota: Arc<Quota>,
    stopping: watch::Receiver<bool>,
    bodies: BodyMemory,
    request_ids: RequestIds,
    /// Slots for event streams.
    event_streams: KeyShares,
    /// Turns to read events from the journal.
    event_reads: KeyTurns,
    /// The turn to compute a settlement.
    settling: KeyTurns,
    /// The settlement that was computed last: a closed day never changes.
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
            event_streams: KeyShares::new(EVENT_STREAMS_MAX),
            event_reads: KeyTurns::new(EVENT_READS_MAX),
            settling: KeyTurns::new(1),
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
