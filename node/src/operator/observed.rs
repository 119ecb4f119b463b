//! The public view of a running node, and the values that Prometheus reads. It never waits for
//! another node.

use std::time::Duration;

use evenkeel_wire::amount::Asset;
use tokio::time::Instant;

use super::health::{ClusterStatus, Health, Probe};
use super::{node_operations::NodeOperations, operations::Operations};
use crate::{
    metrics::{PeerReading, Reading, resident_bytes},
    replication::progress,
};

impl Health for NodeOperations {
    fn passes_probe(&self, probe: Probe) -> bool {
        let lead = *self.lead.borrow();
        let current = self.is_ready(lead, Instant::now());
        probe.is_satisfied(lead, current, *self.stopping.borrow())
    }

    fn cluster_status(&self) -> ClusterStatus {
        let mut status = ClusterStatus::from(Operations::status(self));
        status.ready = self.passes_probe(Probe::Ready);
        status.volatile = self.volatile;
        status
    }

    fn scrape(&self) -> String {
        self.metrics.scrape(&self.take_reading())
    }
}

impl NodeOperations {
    fn take_reading(&self) -> Reading {
        let now = Instant::now();
        let seen = progress::read_status(&self.raft);
        let uptime = now.saturating_duration_since(self.started);
        let applied = self.state.position();
        let (accounts, outstanding) = self.account_totals();
        let checkpoints = self.state.checkpoint_status();
        let age = |time: u64| Duration::from_micros(self.clock.wall_micros().saturating_sub(time));
        Reading {
            primary: self.passes_probe(Probe::Primary),
            ready: self.passes_probe(Probe::Ready),
            term: seen.term,
            committed: seen.committed,
            applied,
            flushed: self.journal.durable_position(),
            view_age: self.freshness.age(now, applied).unwrap_or(uptime),
            peers: self.peer_readings(&seen, now),
            queued_commands: self.queue.depth(),
            accounts,
            outstanding,
            checkpoint: checkpoints.newest.map(|newest| newest.position),
            checkpoint_age: checkpoints.newest.map_or(Duration::ZERO, |newest| age(newest.time)),
            checkpoint_failures: checkpoints.failures,
            disk_full: self.journal.is_disk_full(),
            ledger_ahead: Duration::from_micros(self.ledger_ahead(now)),
            unsealed_bytes: self.journal.unsealed_bytes(),
            uptime,
            resident_bytes: resident_bytes(),
            alarms: self.telemetry.alarm_counts(),
        }
    }

    /// The number of accounts, and the sum that wallets and merchants hold. Until the ledger is
    /// bootstrapped, the assets are those of the configured genesis.
    fn account_totals(&self) -> (usize, Vec<(Asset, i64)>) {
        let (accounts, totals) =
            self.state.with_ledger(|ledger| (ledger.account_count(), ledger.totals()));
        if totals.assets.is_empty() {
            let assets = self.config.genesis.assets.iter();
            return (accounts, assets.map(|asset| (*asset, 0)).collect());
        }
        let sums = totals.assets.iter();
        let outstanding = sums.map(|sum| (sum.asset, sum.wallet.saturating_add(sum.merchant)));
        (accounts, outstanding.collect())
    }

    fn peer_readings(&self, seen: &progress::ReplicationStatus, now: Instant) -> Vec<PeerReading> {
        let peers = self.peer_statuses(seen, now).into_iter();
        peers
            .map(|peer| PeerReading {
                rtt: self.transport.rtt(peer.node),
                clock_offset: self.clocks.offset(peer.node, now).map(seconds),
                site: peer.site,
                reachable: peer.reachable,
                lag: peer.lag,
            })
            .collect()
    }
}

/// Microseconds as seconds, for a gauge.
#[expect(clippy::float_arithmetic, reason = "a time for people")]
#[expect(clippy::cast_precision_loss, reason = "centuries of microseconds fit into 53 bits")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}
