//! What a case demands besides what always holds: the situation that the case is about must occur.

use std::time::Duration;

use evenkeel_node::replication::progress;
use tokio::time::{Instant, sleep, timeout};

use super::invariants::progress::{AGREEMENT_WITHIN, COMMANDS_WITHIN, FAILOVER_WITHIN};
use crate::simulation::{
    faults::{
        fault::{CutDirection, Fault, FaultTarget, kill},
        plan::Expectation,
    },
    world::{World, site::DiskConditions},
};

/// A node whose disk hangs must stop within this time.
const STOPS_WITHIN: Duration = Duration::from_secs(7);

impl World {
    pub(crate) async fn check_expectation(&self, expect: Expectation) -> Result<(), String> {
        match expect {
            Expectation::NewPrimary { who, way } => self.new_primary_while_cut(who, way).await,
            Expectation::SamePrimary { isolated } => self.same_primary_after(isolated).await,
            Expectation::Truncated => {
                self.check_seen("a truncation", self.watch.lock_state().truncations)
            }
            Expectation::AppliedAheadOfDisk => self.check_seen(
                "a site that applied more than its disk held",
                self.watch.lock_state().applied_ahead_of_disk,
            ),
            Expectation::RelievedOfHungDisk => self.relieved_of_hung_disk().await,
            Expectation::Filled => self.all_filled().await,
            Expectation::StandsStillWithoutTwoDisks => self.stands_still_without_two_disks().await,
            Expectation::NothingAfterARollback => self.nothing_after_a_rollback().await,
            Expectation::NothingBehindACut => self.nothing_behind_a_cut().await,
            Expectation::ClockRelieved(fault) => self.relieved_of_wrong_clock(fault).await,
            Expectation::TimeGoesOn { millis } => self.time_goes_on(millis).await,
            Expectation::RepliesAgain => {
                let counts = self.watch.lock_state().acknowledged.counts();
                self.check_seen("a first answer again", counts.replays)?;
                self.check_seen("an id used for something else", counts.reuses)
            }
        }
    }

    fn check_seen(&self, what: &str, times: u64) -> Result<(), String> {
        self.trace.log_line(&format!("seen {times} times: {what}"));
        if times == 0 { Err(format!("case: the run never came to {what}")) } else { Ok(()) }
    }

    /// Cuts the primary off; another one must decide while the cut lasts.
    async fn new_primary_while_cut(
        &self,
        who: FaultTarget,
        way: CutDirection,
    ) -> Result<(), String> {
        let old = self.primary().ok_or("case: there is no primary to cut off")?;
        let rest: Vec<_> =
            self.sites.iter().filter(|site| site.node != old.node).cloned().collect();
        let cut = self.inject_fault(Fault::Cut { who, way, lasts: 9_000 });
        let begun = Instant::now();
        let other = async {
            let mut client = self.client(90);
            sleep(Duration::from_millis(20)).await;
            let decided = client.transfer_through(&rest[0], FAILOVER_WITHIN).await;
            let took = begun.elapsed();
            let led_by = self.primary().map(|site| site.node);
            (decided, took, led_by)
        };
        let ((), (decided, took, led_by)) = tokio::join!(cut, other);
        self.trace.log_line(&format!("a new primary decided after {took:?}: node {led_by:?}"));
        decided.map_err(|why| format!("failover: {why}"))?;
        if led_by == Some(old.node) {
            return Err(format!("failover: node {} still leads behind its cut", old.node));
        }
        Ok(())
    }

    /// A sync of the primary's disk never returns: another site must decide soon, and the process
    /// must end by itself.
    async fn relieved_of_hung_disk(&self) -> Result<(), String> {
        let old = self.primary().ok_or("case: there is no primary whose disk could hang")?;
        let pulse = old.pulse().ok_or("case: the primary is down")?;
        let other = self.sites.iter().find(|site| site.node != old.node).expect("there are three");
        self.trace.log_line(&format!("node {}'s disk hangs", old.node));
        old.set_disk_conditions(DiskConditions { hangs: true, ..DiskConditions::FAST });
        let begun = Instant::now();
        let mut client = self.client(91);
        let decided = client.transfer_through(other, FAILOVER_WITHIN).await;
        self.trace.log_line(&format!("a new primary decided after {:?}", begun.elapsed()));
        decided.map_err(|why| format!("failover from a hung disk: {why}"))?;
        let ended = timeout(STOPS_WITHIN.saturating_sub(begun.elapsed()), pulse.await_end()).await;
        if ended.is_err() {
            return Err(format!("case: node {} still runs on a disk that hangs", old.node));
        }
        sleep(Duration::from_secs(30).saturating_sub(begun.elapsed())).await;
        old.set_disk_conditions(DiskConditions::FAST);
        old.start();
        Ok(())
    }

    async fn all_filled(&self) -> Result<(), String> {
        let filled = async {
            while self.sites.iter().any(|site| site.is_joining()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let joining = || self.sites.iter().filter(|site| site.is_joining()).map(|site| site.node);
        let waited = timeout(AGREEMENT_WITHIN, filled).await;
        waited.map_err(|_| format!("progress: not filled: {:?}", joining().collect::<Vec<_>>()))
    }

    /// The primary is cut off and another one elected. Then the third site, which voted for the new
    /// one, loses its disk and reaches only the old one. Those two would be a majority without any
    /// entry of the new primary: they must decide nothing.
    async fn nothing_behind_a_cut(&self) -> Result<(), String> {
        let old = self.primary().ok_or("case: there is no primary to cut off")?;
        let all: Vec<_> = self.sites.iter().map(|site| site.node).collect();
        let apart = |node| {
            self.network.cut(&[node], &all);
            self.network.cut(&all, &[node]);
        };
        apart(old.node);
        let mut client = self.client(92);
        let rest: Vec<_> = self.sites.iter().filter(|site| site.node != old.node).collect();
        client
            .transfer_through(rest[0], FAILOVER_WITHIN)
            .await
            .map_err(|why| format!("failover: {why}"))?;
        let new = self.primary().filter(|site| site.node != old.node);
        let new = new.ok_or("case: no site took over from a primary that is cut off")?;
        let third = rest.into_iter().find(|site| site.node != new.node).expect("there are three");
        self.lose_disk(third, 50).await;
        self.network.heal();
        apart(new.node);
        self.trace.log_line(&format!("node {} sees only the empty node {}", old.node, third.node));
        let mut client = self.client(93);
        if client.transfer_through(&old, Duration::from_secs(8)).await.is_ok() {
            return Err(format!(
                "lost disk: node {} decided with the empty copy of node {} alone",
                old.node, third.node
            ));
        }
        self.network.heal();
        Ok(())
    }

    /// Two disks lost at once are a majority: the third copy may lack what the two acknowledged, so
    /// nothing may be decided, however long all three sites are up. Then one of the disks is put
    /// back as it was.
    async fn stands_still_without_two_disks(&self) -> Result<(), String> {
        let survivor = self.primary().ok_or("case: there is no primary")?;
        let lost: Vec<_> =
            self.sites.iter().filter(|site| site.node != survivor.node).cloned().collect();
        lost.iter().for_each(|site| kill(site, false));
        sleep(Duration::from_millis(100)).await;
        let disks: Vec<_> = lost.iter().map(|site| site.disk.snapshot()).collect();
        for site in &lost {
            site.disk.replace_with_empty();
            site.checkpoints.remove_all();
            site.start();
        }
        self.trace.log_line("two disks are lost at once");
        let mut client = self.client(94);
        if client.transfer_through(&survivor, Duration::from_secs(12)).await.is_ok() {
            return Err("lost disks: the cluster decided without a majority of whole copies".into());
        }
        kill(&lost[0], false);
        sleep(Duration::from_millis(100)).await;
        lost[0].disk.restore(&disks[0]);
        lost[0].checkpoints.remove_all();
        lost[0].start();
        self.trace.log_line("one of the disks is back");
        client
            .transfer_through(&survivor, COMMANDS_WITHIN)
            .await
            .map_err(|why| format!("progress: with one of the disks back: {why}"))?;
        self.all_filled().await
    }

    /// The primary and a follower commit what the third site, which is cut off, never gets. Then
    /// the follower's disk is rolled back to before the cut, and the primary is lost. The two that
    /// are left would be a majority that has forgotten acknowledged records.
    async fn nothing_after_a_rollback(&self) -> Result<(), String> {
        let primary = self.primary().ok_or("case: there is no primary")?;
        let mut rest = self.sites.iter().filter(|site| site.node != primary.node).cloned();
        let (Some(follower), Some(third)) = (rest.next(), rest.next()) else {
            return Err("case: there are three sites".into());
        };
        let snapshot = follower.disk.snapshot();
        sleep(Duration::from_millis(2_500)).await;
        let others = [primary.node, follower.node];
        self.network.cut(&[third.node], &others);
        self.network.cut(&others, &[third.node]);
        sleep(Duration::from_millis(400)).await;
        kill(&follower, false);
        kill(&primary, false);
        sleep(Duration::from_millis(100)).await;
        follower.disk.restore(&snapshot);
        follower.checkpoints.remove_all();
        self.network.heal();
        follower.start();
        self.trace.log_line(&format!("node {}'s disk is rolled back", follower.node));
        let mut client = self.client(95);
        if client.transfer_through(&third, Duration::from_secs(6)).await.is_ok() {
            return Err(format!(
                "rollback: nodes {} and {} decided, and have forgotten what was acknowledged",
                follower.node, third.node
            ));
        }
        primary.start();
        client
            .transfer_through(&third, COMMANDS_WITHIN)
            .await
            .map_err(|why| format!("progress: with the old primary back: {why}"))?;
        self.all_filled().await
    }

    /// Cuts a follower off for a while; primary and term must be the same when it's back.
    async fn same_primary_after(&self, isolated: u64) -> Result<(), String> {
        let before = self.leader_and_term();
        self.inject_fault(Fault::Cut {
            who: FaultTarget::Follower(0),
            way: CutDirection::Both,
            lasts: isolated,
        })
        .await;
        sleep(Duration::from_secs(3)).await;
        let after = self.leader_and_term();
        if before.is_none() || before != after {
            return Err(format!(
                "case: {before:?} led before a follower came back, {after:?} after"
            ));
        }
        Ok(())
    }

    /// The primary and its term.
    fn leader_and_term(&self) -> Option<(u64, u64)> {
        let primary = self.primary()?;
        let seen = progress::read_status(&primary.life()?.door.raft);
        Some((primary.node, seen.term))
    }
}
