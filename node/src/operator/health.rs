//! The health of this node, for callers without a key: load balancers, dashboards, Prometheus.
//!
//! An answer is this node's own view and never waits for another node or for a hanging disk. It
//! never shows an account's balance, or an id other than the cluster's.

use evenkeel_wire::id::NodeId;
use serde::{Deserialize, Serialize};

use super::status::{Primary, Role, Status};
use crate::road::Lead;

/// The public view of a running node.
pub trait Health: Send + Sync + 'static {
    /// Whether the answer to a probe is yes.
    fn passes_probe(&self, probe: Probe) -> bool;

    /// `GET /v1/status`
    fn cluster_status(&self) -> ClusterStatus;

    /// `GET /metrics`: text of the type [`crate::metrics::CONTENT_TYPE`].
    fn scrape(&self) -> String;
}

/// A load balancer's probe: 200 is yes, 503 is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The process runs. For supervisors: without an answer only a restart helps.
    Live,
    /// The node is caught up and part of a majority. For requests of any kind.
    Ready,
    /// The node is the primary and a majority answers it. For clients that avoid the hop over a
    /// follower.
    Primary,
    /// The node is ready and isn't the primary. For local reads.
    Replica,
}

impl Probe {
    /// Each probe and its route.
    pub const ROUTES: [(&'static str, Self); 4] = [
        ("/livez", Self::Live),
        ("/readyz", Self::Ready),
        ("/primary", Self::Primary),
        ("/replica", Self::Replica),
    ];

    /// The answer of a node in this state. `current`: it has applied all that its primary recently
    /// reported as committed.
    #[must_use]
    pub fn is_satisfied(self, lead: Lead, current: bool, stopping: bool) -> bool {
        let primary = matches!(lead, Lead::Here(_));
        let replica = matches!(lead, Lead::There(_)) && current;
        match self {
            Self::Live => true,
            _ if stopping => false,
            Self::Ready => primary || replica,
            Self::Primary => primary,
            Self::Replica => replica,
        }
    }
}

/// `GET /v1/status`: the cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub cluster: String,
    pub node: NodeId,
    pub site: String,
    pub role: Role,
    pub term: u64,
    /// The primary, if this node knows it.
    pub primary: Option<Primary>,
    pub ready: bool,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    /// The open business day, `YYYY-MM-DD`.
    pub business_date: Option<String>,
    /// How far the ledger's time is ahead of a majority's clocks; 0 if it isn't.
    #[serde(default)]
    pub ledger_ahead_ms: u64,
    pub version: String,
    pub uptime_s: u64,
    /// The node's data folder is on a file system in memory: nothing that it acknowledges survives
    /// a power failure.
    pub volatile: bool,
    /// All sites, this one included, by the nodes' numbers.
    pub sites: Vec<SiteStatus>,
}

/// One site, as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteStatus {
    pub node: NodeId,
    pub site: String,
    /// `null`: unknown to this node.
    pub role: Option<Role>,
    pub reachable: bool,
    /// Entries that the site lacks; known to the primary only.
    pub lag: Option<u64>,
    /// `null` for this node itself, and without an open connection.
    pub rtt_ms: Option<f64>,
    /// The site's clock less this node's; `null` while it isn't known, 0 for this node itself.
    pub clock_offset_ms: Option<i64>,
}

impl From<Status> for ClusterStatus {
    /// The public part of an operator's status.
    fn from(status: Status) -> Self {
        let own = SiteStatus {
            node: status.node,
            site: status.site.clone(),
            role: Some(status.role),
            reachable: true,
            lag: (status.role == Role::Primary).then_some(0),
            rtt_ms: None,
            clock_offset_ms: Some(0),
        };
        let primary = status.primary.as_ref().map(|primary| primary.node);
        let others = status.peers.into_iter().map(|peer| SiteStatus {
            role: match primary {
                Some(node) if node == peer.node => Some(Role::Primary),
                // From this node's view, a reachable site that isn't the primary follows it.
                Some(_) if peer.reachable => Some(Role::Follower),
                _ => None,
            },
            node: peer.node,
            site: peer.site,
            reachable: peer.reachable,
            lag: peer.lag,
            rtt_ms: peer.rtt_ms,
            clock_offset_ms: peer.clock_offset_ms,
        });
        let mut sites: Vec<SiteStatus> = std::iter::once(own).chain(others).collect();
        sites.sort_by_key(|site| site.node);
        Self {
            cluster: status.cluster,
            node: status.node,
            site: status.site,
            role: status.role,
            term: status.term,
            primary: status.primary,
            ready: status.ready,
            committed: status.committed,
            applied: status.applied,
            business_date: status.business_date,
            ledger_ahead_ms: status.ledger_ahead_ms,
            version: status.version,
            uptime_s: status.uptime_s,
            // An operator's status doesn't contain it.
            volatile: false,
            sites,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::status::PeerStatus;

    #[test]
    fn each_probe_means_what_it_says() {
        // lead, current, stopping → live, ready, primary, replica
        let table = [
            (Lead::Here(3), true, false, [true, true, true, false]),
            // A node is called primary only once it has applied every entry of earlier terms.
            (Lead::Here(3), false, false, [true, true, true, false]),
            (Lead::There(2), true, false, [true, true, false, true]),
            (Lead::There(2), false, false, [true, false, false, false]),
            (Lead::Nowhere, true, false, [true, false, false, false]),
            (Lead::Nowhere, false, false, [true, false, false, false]),
            (Lead::Here(3), true, true, [true, false, false, false]),
            (Lead::There(2), true, true, [true, false, false, false]),
        ];
        for (lead, current, stopping, expected) in table {
            let answers =
                Probe::ROUTES.map(|(_, probe)| probe.is_satisfied(lead, current, stopping));
            assert_eq!(answers, expected, "{lead:?} current: {current} stopping: {stopping}");
        }
    }

    fn peer(node: NodeId, reachable: bool, lag: Option<u64>) -> PeerStatus {
        PeerStatus {
            node,
            site: format!("site-{node}"),
            reachable,
            matched: None,
            lag,
            last_heard_ms: None,
            rtt_ms: reachable.then_some(1.5),
            clock_offset_ms: reachable.then_some(-3),
            error: None,
            differs: Vec::new(),
        }
    }

    fn status(role: Role, primary: Option<NodeId>, peers: Vec<PeerStatus>) -> Status {
        Status {
            cluster: "c".into(),
            node: 2,
            site: "site-2".into(),
            role,
            term: 7,
            primary: primary.map(|node| Primary { node, site: format!("site-{node}") }),
            committed: Some(9),
            applied: Some(8),
            flushed: Some(9),
            chain_head: None,
            digests: Vec::new(),
            business_date: Some("2026-10-15".into()),
            peers,
            ledger_ahead_ms: 0,
            ready: true,
            waits_for: None,
            version: "0".into(),
            uptime_s: 1,
        }
    }

    fn roles(status: Status) -> Vec<(NodeId, Option<Role>, Option<u64>)> {
        let sites = ClusterStatus::from(status).sites;
        sites.into_iter().map(|site| (site.node, site.role, site.lag)).collect()
    }

    #[test]
    fn all_sites_are_listed_by_number_with_what_can_be_seen_of_them_from_here() {
        let peers = vec![peer(1, true, Some(3)), peer(3, false, Some(40))];
        assert_eq!(
            roles(status(Role::Primary, Some(2), peers)),
            [
                (1, Some(Role::Follower), Some(3)),
                (2, Some(Role::Primary), Some(0)),
                (3, None, Some(40))
            ]
        );
        let peers = vec![peer(1, true, None), peer(3, true, None)];
        assert_eq!(
            roles(status(Role::Follower, Some(3), peers.clone())),
            [
                (1, Some(Role::Follower), None),
                (2, Some(Role::Follower), None),
                (3, Some(Role::Primary), None)
            ]
        );
        assert_eq!(
            roles(status(Role::Candidate, None, peers)),
            [(1, None, None), (2, Some(Role::Candidate), None), (3, None, None)]
        );
    }
}
