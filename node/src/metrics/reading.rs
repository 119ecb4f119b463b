//! Values that are read from the running node once per scrape: positions, peers, queues, sums.
//! They're never updated in between.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_wire::amount::Asset;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::families::Families;

/// The kinds of alarms that are counted from the start.
const ALARM_KINDS: [&str; 16] = [
    "certificate_ends",
    "clock_ahead",
    "clock_behind",
    "cluster_differs",
    "damage",
    "digest_differs",
    "disk",
    "genesis_differs",
    "log_dropped",
    "membership_differs",
    "other",
    "panic",
    "profile_differs",
    "rolled_back",
    "twin",
    "version_differs",
];

/// The values of a running node at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub primary: bool,
    pub ready: bool,
    pub term: u64,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    pub flushed: Option<u64>,
    /// The time since this node was last current with a majority.
    pub view_age: Duration,
    pub peers: Vec<PeerReading>,
    pub queued_commands: usize,
    pub accounts: usize,
    /// The sum of wallets and merchants, in minor units.
    pub outstanding: Vec<(Asset, i64)>,
    pub checkpoint: Option<u64>,
    pub checkpoint_age: Duration,
    pub checkpoint_failures: u64,
    pub disk_full: bool,
    /// How far the ledger's time is ahead of a majority's clocks.
    pub ledger_ahead: Duration,
    /// Bytes of the journal above the newest sealed segment.
    pub unsealed_bytes: u64,
    pub uptime: Duration,
    pub resident_bytes: u64,
    /// Alarms since the start, by kind.
    pub alarms: BTreeMap<String, u64>,
}

/// Another site, as this node sees it.
#[derive(Clone, Debug)]
pub struct PeerReading {
    pub site: String,
    pub reachable: bool,
    /// `None`: known to the primary only.
    pub lag: Option<u64>,
    /// `None`: no connection is open.
    pub rtt: Option<Duration>,
    /// The peer's clock less this node's, seconds; `None`: not known lately.
    pub clock_offset: Option<f64>,
}

/// The families that are set from a reading.
#[derive(Debug)]
pub(crate) struct LiveGauges {
    primary: IntGauge,
    ready: IntGauge,
    term: IntGauge,
    committed: IntGauge,
    applied: IntGauge,
    flushed: IntGauge,
    view_age: Gauge,
    peer_reachable: IntGaugeVec,
    peer_lag: IntGaugeVec,
    peer_rtt: GaugeVec,
    clock_offset: GaugeVec,
    ledger_ahead: Gauge,
    queued_commands: IntGauge,
    accounts: IntGauge,
    outstanding: IntGaugeVec,
    checkpoint: IntGauge,
    checkpoint_age: Gauge,
    checkpoint_failures: IntCounter,
    fdatasync_pending: Gauge,
    disk_full: IntGauge,
    unsealed: IntGauge,
    uptime: Gauge,
    resident_bytes: IntGauge,
    alarms: IntCounterVec,
}

impl LiveGauges {
    #[rustfmt::skip]
    pub(crate) fn new(families: &Families) -> Self {
        let gauge = |name, help| families.gauge(name, help);
        let seconds = |name, help| families.seconds_gauge(name, help);
        Self {
            primary: gauge("primary", "1 while this node orders commands and a majority answers it, else 0."),
            ready: gauge("ready", "1 while this node is caught up and part of a majority, else 0."),
            term: gauge("term", "The number of the newest election that this node knows."),
            committed: gauge("committed_position", "The newest position that this node knows a majority to have on disk; 0 before the first."),
            applied: gauge("applied_position", "The newest position that this node's ledger contains; 0 before the first."),
            flushed: gauge("flushed_position", "The newest position that is on this node's own disk; 0 before the first."),
            view_age: seconds("view_age_seconds", "Time since this node was last current with a majority; since its start if it never was."),
            peer_reachable: families.gauges("peer_reachable", "1 while the peer answers, else 0.", "peer"),
            peer_lag: families.gauges("peer_lag_entries", "Entries that the peer lacks on its disk; 0 on followers, since it's known to the primary only.", "peer"),
            peer_rtt: families.seconds_gauges("peer_rtt_seconds", "Smoothed round-trip time to the peer; 0 without a connection.", "peer"),
            clock_offset: families.seconds_gauges("clock_offset_seconds", "The peer's clock less this node's; 0 while it isn't known.", "peer"),
            ledger_ahead: seconds("ledger_ahead_seconds", "How far the ledger's time is ahead of a majority's clocks, or of this node's where no majority agrees; 0 if it isn't."),
            queued_commands: gauge("queue_commands", "Commands that wait for an entry."),
            accounts: gauge("accounts", "Accounts in the ledger, closed ones too."),
            outstanding: families.gauges("outstanding", "What all wallets and merchants have posted, in the asset's minor unit.", "asset"),
            checkpoint: gauge("checkpoint_position", "The position of the newest checkpoint of the balances, from which a start replays; 0 before the first."),
            checkpoint_age: seconds("checkpoint_age_seconds", "Time since the newest entry in the newest checkpoint of the balances was made; 0 before the first."),
            checkpoint_failures: families.counter("checkpoint_failures_total", "Checkpoints that were abandoned since this node's start."),
            fdatasync_pending: seconds("fdatasync_pending_seconds", "Time that the journal's current sync has taken so far; 0 when there is none."),
            disk_full: gauge("disk_full", "1 while there is no space for the journal's next segment and new commands are refused, else 0."),
            unsealed: gauge("unsealed_bytes", "Bytes of the journal that the keeper has not sealed; a primary slows from 512 MiB on and stops taking commands at 1 GiB."),
            uptime: seconds("uptime_seconds", "Time since this node's start."),
            resident_bytes: gauge("resident_memory_bytes", "Memory of this process that is in RAM."),
            alarms: alarm_counters(families),
        }
    }

    /// Sets all gauges from a reading.
    pub(crate) fn set_reading(&self, reading: &Reading, fdatasync_pending: Duration) {
        self.primary.set(reading.primary.into());
        self.ready.set(reading.ready.into());
        self.term.set(to_gauge_value(reading.term));
        self.committed.set(to_gauge_value(reading.committed.unwrap_or(0)));
        self.applied.set(to_gauge_value(reading.applied.unwrap_or(0)));
        self.flushed.set(to_gauge_value(reading.flushed.unwrap_or(0)));
        self.view_age.set(reading.view_age.as_secs_f64());
        for peer in &reading.peers {
            let label = &[peer.site.as_str()];
            self.peer_reachable.with_label_values(label).set(peer.reachable.into());
            self.peer_lag.with_label_values(label).set(to_gauge_value(peer.lag.unwrap_or(0)));
            let rtt = peer.rtt.unwrap_or(Duration::ZERO);
            self.peer_rtt.with_label_values(label).set(rtt.as_secs_f64());
            self.clock_offset.with_label_values(label).set(peer.clock_offset.unwrap_or(0.0));
        }
        self.queued_commands.set(i64::try_from(reading.queued_commands).unwrap_or(i64::MAX));
        self.accounts.set(i64::try_from(reading.accounts).unwrap_or(i64::MAX));
        for (asset, sum) in &reading.outstanding {
            self.outstanding.with_label_values(&[asset.to_string()]).set(*sum);
        }
        self.checkpoint.set(to_gauge_value(reading.checkpoint.unwrap_or(0)));
        self.checkpoint_age.set(reading.checkpoint_age.as_secs_f64());
        // Counted elsewhere; it never decreases.
        let known = self.checkpoint_failures.get();
        self.checkpoint_failures.inc_by(reading.checkpoint_failures.saturating_sub(known));
        self.fdatasync_pending.set(fdatasync_pending.as_secs_f64());
        self.disk_full.set(reading.disk_full.into());
        self.ledger_ahead.set(reading.ledger_ahead.as_secs_f64());
        self.unsealed.set(to_gauge_value(reading.unsealed_bytes));
        self.uptime.set(reading.uptime.as_secs_f64());
        self.resident_bytes.set(to_gauge_value(reading.resident_bytes));
        for (kind, count) in &reading.alarms {
            let counter = self.alarms.with_label_values(&[kind]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// Every kind is there from the start, so that its first alarm is a step.
fn alarm_counters(families: &Families) -> IntCounterVec {
    let help = "Errors in this node's log and alarms in its timeline since its start, by kind.";
    let alarms = families.counters("alarms_total", help, &["kind"]);
    for kind in ALARM_KINDS {
        alarms.with_label_values(&[kind]);
    }
    alarms
}

fn to_gauge_value(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Memory of this process that is in RAM, bytes; 0 if the kernel doesn't report it.
#[must_use]
pub fn resident_bytes() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| parse_resident(&text))
        .unwrap_or(0)
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_what_the_kernel_says() {
        let status = "Name:\tevenkeel\nVmHWM:\t   20000 kB\nVmRSS:\t   12345 kB\nThreads:\t6\n";
        assert_eq!(parse_resident(status), Some(12_345 * 1_024));
        assert_eq!(parse_resident("Name:\tevenkeel\n"), None);
        assert!(resident_bytes() > 1 << 20, "this process uses more than a mebibyte");
    }
}
