//! Routes for load balancers and Prometheus: liveness, readiness, role and metrics. They never need
//! a key, and they ignore the query: probes often add one.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use utoipa::openapi::{RefOr, Response as ResponseDocs};

use crate::gateway::http::{HttpDoor, openapi};
use crate::{metrics::CONTENT_TYPE, operator::health::Probe};

/// 200 or 503, with a word for people.
fn probe_response(good: bool) -> Response<Body> {
    let (status, text) =
        if good { (StatusCode::OK, "yes\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "no\n") };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    (status, kind, text).into_response()
}

/// Whether the process runs.
#[utoipa::path(
    get, path = "/livez", tag = "health", operation_id = "livez", security(()), responses(ProbeResponses),
)]
pub(crate) async fn livez(State(door): State<Arc<HttpDoor>>) -> Response<Body> {
    probe_response(door.health.passes_probe(Probe::Live))
}

/// Whether the node is caught up and part of a majority.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz", security(()), responses(ProbeResponses),
)]
pub(crate) async fn readyz(State(door): State<Arc<HttpDoor>>) -> Response<Body> {
    probe_response(door.health.passes_probe(Probe::Ready))
}

/// Whether the node is the primary.
#[utoipa::path(
    get, path = "/primary", tag = "health", operation_id = "primary", security(()), responses(ProbeResponses),
)]
pub(crate) async fn primary(State(door): State<Arc<HttpDoor>>) -> Response<Body> {
    probe_response(door.health.passes_probe(Probe::Primary))
}

/// Whether the node is ready and a follower.
#[utoipa::path(
    get, path = "/replica", tag = "health", operation_id = "replica", security(()), responses(ProbeResponses),
)]
pub(crate) async fn replica(State(door): State<Arc<HttpDoor>>) -> Response<Body> {
    probe_response(door.health.passes_probe(Probe::Replica))
}

/// The node's metrics, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, description = "Text format 0.0.4.", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(door): State<Arc<HttpDoor>>) -> Response<Body> {
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    ([(header::CONTENT_TYPE, kind)], door.health.scrape()).into_response()
}

/// The two answers of a health route.
struct ProbeResponses;

impl utoipa::IntoResponses for ProbeResponses {
    fn responses() -> BTreeMap<String, RefOr<ResponseDocs>> {
        openapi::probe_responses()
    }
}
