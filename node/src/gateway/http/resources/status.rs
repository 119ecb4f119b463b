//! `/v1/status`: sites, roles and lag, without a key. It never shows a balance or a digest.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::gateway::http::{
    HttpDoor,
    answer::{describe, problem::Problem},
    openapi::OpenProblems,
    request::{accept, query},
};
use crate::operator::{
    health::{ClusterStatus, SiteStatus},
    status::Role,
};

/// The cluster, as this node sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusShape {
    cluster: String,
    node: u64,
    site: String,
    #[schema(value_type = RoleSchema)]
    role: Role,
    term: u64,
    /// The primary; `null` if this node knows none.
    #[schema(required = true)]
    primary: Option<PrimaryShape>,
    /// Caught up and part of a majority.
    ready: bool,
    /// The newest position that is known to be committed.
    #[schema(required = true)]
    committed: Option<u64>,
    /// The newest position that this node's ledger has applied.
    #[schema(required = true)]
    applied: Option<u64>,
    /// The open business day.
    #[schema(required = true)]
    business_date: Option<String>,
    /// How far the ledger's time is ahead of a majority's clocks; 0 if it isn't.
    ledger_ahead_ms: u64,
    version: String,
    uptime_s: u64,
    /// The node's data is in memory: nothing that it acknowledges survives a power failure.
    volatile: bool,
    /// All sites, by the nodes' numbers.
    sites: Vec<SiteShape>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Primary)]
struct PrimaryShape {
    node: u64,
    site: String,
}

/// A site, as this node sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Site)]
struct SiteShape {
    node: u64,
    site: String,
    /// `null`: unknown to this node.
    #[schema(required = true, value_type = Option<RoleSchema>)]
    role: Option<Role>,
    reachable: bool,
    /// Entries that the site lacks; known to the primary only.
    #[schema(required = true)]
    lag: Option<u64>,
    #[schema(required = true)]
    rtt_ms: Option<f64>,
    /// The site's clock less this node's; `null` while it isn't known.
    #[schema(required = true)]
    clock_offset_ms: Option<i64>,
}

/// The current role of a node.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[expect(dead_code, reason = "a schema; the status has the values")]
enum RoleSchema {
    Primary,
    Follower,
    Candidate,
    Learner,
    Recovering,
    Damaged,
}

impl From<SiteStatus> for SiteShape {
    fn from(site: SiteStatus) -> Self {
        let SiteStatus { node, site, role, reachable, lag, rtt_ms, clock_offset_ms } = site;
        Self { node, site, role, reachable, lag, rtt_ms, clock_offset_ms }
    }
}

impl From<ClusterStatus> for StatusShape {
    fn from(status: ClusterStatus) -> Self {
        let primary = status.primary;
        Self {
            cluster: status.cluster,
            node: status.node,
            site: status.site,
            role: status.role,
            term: status.term,
            primary: primary.map(|primary| PrimaryShape { node: primary.node, site: primary.site }),
            ready: status.ready,
            committed: status.committed,
            applied: status.applied,
            business_date: status.business_date,
            ledger_ahead_ms: status.ledger_ahead_ms,
            version: status.version,
            uptime_s: status.uptime_s,
            volatile: status.volatile,
            sites: status.sites.into_iter().map(SiteShape::from).collect(),
        }
    }
}

/// Sites, roles and lag.
#[utoipa::path(
    get, path = "/v1/status", tag = "health", operation_id = "get_status", security(()),
    responses((status = 200, description = "As this node sees it.", body = StatusShape), OpenProblems),
)]
pub(crate) async fn get_status(
    State(door): State<Arc<HttpDoor>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    accept::choose(request.headers(), &["application/json"])?;
    query::check_no_query(request.uri().query())?;
    Ok(describe::json(StatusCode::OK, &StatusShape::from(door.health.cluster_status())))
}
