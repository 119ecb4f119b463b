//! Reports wrong clocks to the operator: an alarm at every site, by the site's name, when a clock
//! begins to differ and when the ledger's time is ahead of the clocks, and an event when they agree
//! again.
//!
//! It never judges a clock: `replication::peers::clocks` does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel_wire::id::NodeId;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    clock::comparison::format_difference,
    config::Config,
    replication::peers::clocks::{ClockReport, DifferingClock},
    telemetry::timeline::Timeline,
};

/// How often a bootstrap that waits is reported again.
const WAIT_REPORTED_EVERY: Duration = Duration::from_secs(60);

/// What is reported of a clock: each change of it is a new alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReportedClock {
    is_behind: bool,
    from_majority: bool,
}

/// Reports changes until the node stops.
pub(crate) async fn report_clocks(
    mut reports: watch::Receiver<ClockReport>,
    config: Arc<Config>,
    timeline: Timeline,
) {
    let mut alarms = ClockAlarms::new(config, timeline);
    let mut tick = interval(WAIT_REPORTED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = reports.changed() => if changed.is_err() { return },
            _ = tick.tick() => {}
        }
        let report = reports.borrow_and_update().clone();
        alarms.report(&report, Instant::now());
    }
}

struct ClockAlarms {
    config: Arc<Config>,
    timeline: Timeline,
    reported: BTreeMap<NodeId, ReportedClock>,
    ledger_reported: bool,
    wait_reported: Option<Instant>,
}

impl ClockAlarms {
    fn new(config: Arc<Config>, timeline: Timeline) -> Self {
        let (reported, ledger_reported, wait_reported) = (BTreeMap::new(), false, None);
        Self { config, timeline, reported, ledger_reported, wait_reported }
    }

    fn report(&mut self, report: &ClockReport, now: Instant) {
        for clock in &report.differing {
            self.report_differing(*clock);
        }
        let differs = |node| report.differing.iter().any(|clock| clock.node == node);
        let correct: Vec<NodeId> =
            self.reported.keys().copied().filter(|node| !differs(*node)).collect();
        for node in correct {
            self.reported.remove(&node);
            let site = self.site_of(node);
            tracing::info!(site, "a site's clock agrees with the others again");
            self.timeline.record("clock_agrees", json!({ "site": site }));
        }
        self.report_ledger(report.ledger_ahead);
        self.report_wait(report, now);
    }

    fn report_differing(&mut self, clock: DifferingClock) {
        let DifferingClock { node, by, from_majority } = clock;
        let is_own = node == self.config.node;
        if is_own && !from_majority {
            return;
        }
        let found = ReportedClock { is_behind: by < 0, from_majority };
        if self.reported.insert(node, found) == Some(found) {
            return;
        }
        let kind = if by < 0 { "clock_behind" } else { "clock_ahead" };
        let (site, offset_ms) = (self.site_of(node), by / 1_000);
        let difference = format_difference(by);
        if is_own {
            tracing::error!(
                kind,
                site,
                offset_ms,
                "this site's clock is {difference} a majority's: correct it (chrony or NTP); until then the ledger's \
                 time follows the majority, and another site leads if it can"
            );
        } else if from_majority {
            tracing::error!(
                kind,
                site,
                offset_ms,
                "the clock of site {site} is {difference} a majority's: correct it there (chrony or NTP)"
            );
        } else {
            tracing::error!(
                kind,
                site,
                offset_ms,
                "the clock of site {site} is {difference} this site's, and no majority of clocks agrees: check the \
                 clocks of all sites (chrony or NTP)"
            );
        }
    }

    fn report_ledger(&mut self, ahead: Option<u64>) {
        let before = std::mem::replace(&mut self.ledger_reported, ahead.is_some());
        match ahead {
            Some(ahead) if !before => tracing::error!(
                kind = "clock_behind",
                site = self.config.site,
                ledger_ahead_ms = ahead / 1_000,
                "the clocks are {} the ledger's time: check the clocks of all sites; if they're right, the ledger's \
                 time goes on a tenth slower until they have caught up",
                format_difference(i64::try_from(ahead).unwrap_or(i64::MAX).saturating_neg())
            ),
            None if before => {
                tracing::info!("the clocks have caught up with the ledger's time");
                self.timeline.record("ledger_time_agrees", json!({}));
            }
            _ => {}
        }
    }

    fn report_wait(&mut self, report: &ClockReport, now: Instant) {
        if !report.bootstrap_waits {
            if self.wait_reported.take().is_some() {
                tracing::info!("a majority's clocks agree: the ledger can be bootstrapped");
            }
            return;
        }
        let due = |at: Instant| now.saturating_duration_since(at) >= WAIT_REPORTED_EVERY;
        if self.wait_reported.is_none_or(due) {
            self.wait_reported = Some(now);
            tracing::warn!(
                "the ledger isn't bootstrapped yet: it waits until the clocks of a majority of sites agree within 2 s; \
                 see clock_offset_ms in `evenkeel admin status`, and correct the clocks (chrony or NTP)"
            );
        }
    }

    fn site_of(&self, node: NodeId) -> String {
        let member = self.config.members.iter().find(|member| member.node == node);
        member.map_or_else(|| format!("node {node}"), |member| member.site.clone())
    }
}
