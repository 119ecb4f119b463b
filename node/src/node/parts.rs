//! The parts that most of a node uses, and how replication and the operator's door are made of
//! them.
//!
//! It starts nothing.

use std::sync::Arc;

use evenkeel_storage::{
    disk::Disk,
    journal::{Journal, JournalRecovery},
};
use tokio::{sync::watch, time::Instant};

use super::{RunError, random_number};
use crate::{
    clock::Clock,
    config::Config,
    metrics::Metrics,
    operator::{acts::LedgerActs, introductions::Introductions, node_operations::NodeOperations},
    replay::recovery::Recovered,
    replication::{
        engine::{Replication, ReplicationParts, types::vote_from_storage},
        peers::quic::QuicTransport,
    },
    state::AppliedState,
    telemetry::{Telemetry, timeline::Timeline},
};

/// The parts that most of a node uses.
pub(crate) struct NodeParts {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) journal: Journal,
    pub(crate) state: Arc<AppliedState>,
    pub(crate) timeline: Timeline,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) transport: Arc<QuicTransport>,
}

impl NodeParts {
    pub(crate) fn replication(
        &self,
        disk: Arc<dyn Disk>,
        recovery: &JournalRecovery,
        recovered: Recovered,
    ) -> Result<ReplicationParts, RunError> {
        let config = &self.config;
        Ok(ReplicationParts {
            node: config.node,
            members: config.members.iter().map(|member| member.node).collect(),
            timing: config.profile.timing(),
            disk,
            data: config.data.clone(),
            copy: random_number()?,
            memory: recovery.memory.clone(),
            sites: config.members.iter().map(|one| (one.node, one.site.clone())).collect(),
            journal: self.journal.clone(),
            vote: recovery.vote.map(vote_from_storage),
            applied: recovered.applied,
            membership: recovered.membership,
            state: self.state.clone(),
            clock: self.clock.clone(),
            transport: self.transport.clone(),
            timeline: Some(self.timeline.clone()),
            genesis: config.genesis.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// `volatile`: the data folder is on a file system in memory.
    pub(crate) fn operations(
        &self,
        replication: &Replication,
        introductions: Arc<Introductions>,
        telemetry: Telemetry,
        volatile: bool,
        stopping: watch::Receiver<bool>,
    ) -> NodeOperations {
        NodeOperations {
            config: self.config.clone(),
            volatile,
            started: Instant::now(),
            raft: replication.raft.clone(),
            state: self.state.clone(),
            journal: self.journal.clone(),
            book: replication.book.clone(),
            clocks: replication.clocks.clone(),
            transport: self.transport.clone(),
            freshness: replication.freshness.clone(),
            lead: replication.lead.clone(),
            handover: replication.handover.clone(),
            timeline: self.timeline.clone(),
            acts: LedgerActs {
                road: replication.road.clone(),
                state: self.state.clone(),
                keyring: replication.keyring.clone(),
            },
            queue: replication.queue.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            notes: Arc::default(),
            introductions,
            telemetry,
            stopping,
        }
    }
}
