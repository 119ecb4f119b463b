//! What the cases of wrong clocks demand besides what always holds.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::simulation::{
    faults::clock_fault::ClockFault,
    world::{World, site::SimulatedSite},
};

/// A wrong clock is reported everywhere, and its primary relieved, within this time: it must differ
/// by 2 s, for 5 s, and the role must pass.
const RELIEVED_WITHIN: Duration = Duration::from_secs(12);
/// How long a ledger that is ahead of all clocks is watched.
const WATCHED: Duration = Duration::from_secs(12);
/// How far it must go on in that time, microseconds.
const GOES_ON: u64 = 9_000_000;

impl World {
    /// The primary's clock becomes wrong while commands go on.
    pub(crate) async fn relieved_of_wrong_clock(&self, fault: ClockFault) -> Result<(), String> {
        let old = self.primary().ok_or("case: there is no primary whose clock could be wrong")?;
        self.trace.log_line(&format!("node {}'s clock becomes wrong: {fault:?}", old.node));
        let wrong = self.inject_clock_fault(fault);
        let relieved = async {
            self.demand_soon("every site reports the clock", |world| {
                world.sites.iter().all(|site| reports(site, old.node))
            })
            .await?;
            self.demand_soon("another site leads", |world| {
                world.primary().is_some_and(|primary| primary.node != old.node)
            })
            .await?;
            let mut client = self.client(95);
            client.transfer_through(&old, RELIEVED_WITHIN).await
        };
        let ((), relieved) = tokio::join!(wrong, relieved);
        relieved
    }

    /// All clocks are set back, at once or after a while in which they were ahead.
    pub(crate) async fn time_goes_on(&self, millis: i64) -> Result<(), String> {
        self.trace.log_line(&format!("all clocks step by {millis} ms"));
        self.step_all_clocks(millis);
        if millis > 0 {
            sleep(Duration::from_secs(3)).await;
            self.trace.log_line("and back");
            self.step_all_clocks(-millis);
        }
        let before = self.watch.lock_state().time.newest();
        let reported = self
            .demand_soon("every site reports that the ledger's time is ahead", |world| {
                world.sites.iter().all(reports_ledger)
            })
            .await;
        sleep(WATCHED).await;
        let inner = self.watch.lock_state();
        let newest = inner.time.newest();
        let overdue = inner.journal.model().overdue_hold(before + GOES_ON);
        drop(inner);
        if millis < 0 {
            self.step_all_clocks(-millis);
        }
        reported?;
        if newest < before + GOES_ON {
            return Err(format!(
                "case: time went on from {before} to {newest} only in {WATCHED:?}"
            ));
        }
        overdue.map_or(Ok(()), |hold| Err(format!("case: hold {hold} is due and stays open")))
    }

    async fn demand_soon(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > RELIEVED_WITHIN {
                return Err(format!("case: not within {RELIEVED_WITHIN:?}: {what}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.trace.log_line(&format!("after {:?}: {what}", begun.elapsed()));
        Ok(())
    }
}

/// Whether a site reports that a node's clock differs from a majority's.
fn reports(site: &Arc<SimulatedSite>, node: u64) -> bool {
    site.life().is_some_and(|life| life.clocks.wrong_by(node).is_some())
}

fn reports_ledger(site: &Arc<SimulatedSite>) -> bool {
    site.life().is_some_and(|life| life.clocks.watch_report().borrow().ledger_ahead.is_some())
}
