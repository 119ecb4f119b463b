//! Metrics of a door: durations of answers, refusals, open connections. They never name a client or
//! a key.

use std::{sync::Arc, time::Duration};

use evenkeel_wire::reply::RefusalCode;
use prometheus::{Histogram, IntCounterVec, IntGauge};

use super::families::Families;

/// The door of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// Clients over QUIC.
    Quic,
    /// Clients over HTTP.
    Http,
    /// Other sites, with their clients' requests.
    Forward,
}

impl DoorKind {
    /// All doors.
    pub const ALL: [Self; 3] = [Self::Quic, Self::Http, Self::Forward];

    fn label(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Forward => "forward",
        }
    }
}

/// Refusals that only HTTP has, in addition to those of [`RefusalCode`].
const HTTP_CODES: [&str; 3] = ["method_not_allowed", "not_acceptable", "unsupported_media_type"];

/// From a quarter of a millisecond, more than an answer from memory takes, to the longest usual
/// deadlines.
const SECONDS: [f64; 16] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 60.0,
];

/// The metrics of one door.
#[derive(Debug)]
pub struct DoorMetrics {
    door: DoorKind,
    latency: Histogram,
    refusals: IntCounterVec,
    connections: IntGauge,
}

impl DoorMetrics {
    /// The metrics of each door, in the order of [`DoorKind::ALL`].
    pub(crate) fn for_all_doors(families: &Families) -> [Arc<Self>; 3] {
        let latencies = families.histograms(
            "request_duration_seconds",
            "Time from a request's arrival to its answer, rejections and refusals included.",
            "door",
            &SECONDS,
        );
        let refusals = families.counters(
            "refusals_total",
            "Requests that ended without an outcome or an answer, by code.",
            &["code", "door"],
        );
        let connections =
            families.gauges("connections", "Open connections; for forward, lanes.", "door");
        DoorKind::ALL.map(|door| {
            let codes = RefusalCode::ALL.iter().map(|code| code.name());
            for code in codes.chain(HTTP_CODES) {
                refusals.with_label_values(&[code, door.label()]);
            }
            Arc::new(Self {
                door,
                latency: latencies.with_label_values(&[door.label()]),
                refusals: refusals.clone(),
                connections: connections.with_label_values(&[door.label()]),
            })
        })
    }

    /// Counts an answer of any kind.
    pub fn observe_answer(&self, took: Duration) {
        self.latency.observe(took.as_secs_f64());
    }

    /// Counts a refusal with this code, as docs/API.md names it.
    pub fn count_refusal(&self, code: &'static str) {
        self.refusals.with_label_values(&[code, self.door.label()]).inc();
    }

    /// Counts a connection as open until the guard is dropped.
    #[must_use]
    pub fn track_connection(&self) -> ConnectionGuard {
        self.connections.inc();
        ConnectionGuard(self.connections.clone())
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionGuard(IntGauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
