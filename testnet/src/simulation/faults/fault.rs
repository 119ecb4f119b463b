//! The faults, and how each is injected into a site or the network.

use std::{path::Path, sync::Arc, time::Duration};

use evenkeel_node::replication::{leadership::handover, progress};
use evenkeel_storage::{
    disk::{DiskSnapshot, DiskTrouble, MemoryDisk},
    journal, memory,
};
use evenkeel_wire::id::NodeId;
use tokio::time::sleep;

use super::clock_fault::ClockFault;
use crate::simulation::world::{
    World,
    disk::ArmedCrash,
    life::DATA,
    network::NetworkConditions,
    site::{DiskConditions, SimulatedSite},
};

/// The target site, resolved when the fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultTarget {
    Primary,
    /// The first or the second of the sites that don't lead.
    Follower(usize),
}

/// The direction of a site's traffic that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutDirection {
    Both,
    In,
    Out,
}

/// One fault. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, or with `power` a power loss that loses everything unsynced; restarted after
    /// `down`.
    Kill { who: FaultTarget, power: bool, down: u64 },
    /// Kills all sites at once.
    KillAll { power: bool, down: u64 },
    /// Dies after this many more disk operations; with `at_vote` they are counted from the next
    /// vote.
    DieAt { who: FaultTarget, operations: u64, at_vote: bool, power: bool, down: u64 },
    /// Isolated from all others, in one direction or both.
    Cut { who: FaultTarget, way: CutDirection, lasts: u64 },
    /// Isolated from one other site only.
    Bridge { who: FaultTarget, lasts: u64 },
    /// Every site isolated from every other.
    Shatter { lasts: u64 },
    /// Each disk operation takes up to `millis`.
    SlowDisk { who: FaultTarget, millis: u64, lasts: u64 },
    /// A sync never returns.
    HungDisk { who: FaultTarget, lasts: u64, then_power_loss: bool },
    /// A disk or its machine fails in another way.
    Trouble { who: FaultTarget, trouble: DiskTrouble, lasts: u64 },
    /// Frames are lost and delayed.
    Storm { loss: u64, delay: u64, lasts: u64 },
    /// All connections of a site are reset.
    Reset { who: FaultTarget },
    /// The primary hands over.
    HandOver { to: usize },
    /// The disk is replaced by an empty one; only while all other copies are whole.
    LostDisk { who: FaultTarget, down: u64 },
    /// The disk is rolled back to what it was `age` ago; only while all other copies are whole and
    /// remember what is forgotten.
    RolledBack { who: FaultTarget, age: u64, down: u64 },
    /// A clock is wrong.
    Clock(ClockFault),
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl World {
    /// The site that considers itself leader of the newest term.
    pub fn primary(&self) -> Option<Arc<SimulatedSite>> {
        let leading = self.sites.iter().filter_map(|site| {
            let seen = progress::read_status(&site.life()?.door.raft);
            seen.is_primary.then_some((seen.term, site))
        });
        leading.max_by_key(|(term, _)| *term).map(|(_, site)| site.clone())
    }

    pub(crate) fn target_site(&self, who: FaultTarget) -> Arc<SimulatedSite> {
        let primary = self.primary().unwrap_or_else(|| self.sites[0].clone());
        match who {
            FaultTarget::Primary => primary,
            FaultTarget::Follower(number) => {
                let mut others = self.sites.iter().filter(|site| site.node != primary.node);
                others.nth(number % 2).expect("there are three").clone()
            }
        }
    }

    fn others(&self, node: NodeId) -> Vec<NodeId> {
        self.sites.iter().map(|site| site.node).filter(|other| *other != node).collect()
    }

    /// Injects the fault and waits until it's over.
    pub async fn inject_fault(&self, fault: Fault) {
        self.trace
            .log_line(&format!("fault: {fault:?}, primary {:?}", self.primary().map(|s| s.node)));
        match fault {
            Fault::Kill { who, power, down } => {
                let site = self.target_site(who);
                kill(&site, power);
                sleep(millis(down)).await;
                site.start();
            }
            Fault::KillAll { power, down } => {
                self.sites.iter().for_each(|site| kill(site, power));
                sleep(millis(down)).await;
                for site in &self.sites {
                    site.start();
                    sleep(millis(down / 7)).await;
                }
            }
            Fault::DieAt { who, operations, at_vote, power, down } => {
                self.crash_at(who, ArmedCrash { from_vote: at_vote, operations, power }, down)
                    .await;
            }
            Fault::Cut { who, way, lasts } => {
                let node = self.target_site(who).node;
                let others = self.others(node);
                if way != CutDirection::In {
                    self.network.cut(&[node], &others);
                }
                if way != CutDirection::Out {
                    self.network.cut(&others, &[node]);
                }
                sleep(millis(lasts)).await;
                self.network.heal();
            }
            Fault::Bridge { who, lasts } => {
                let node = self.target_site(who).node;
                let other = self.others(node)[0];
                self.network.cut(&[node], &[other]);
                self.network.cut(&[other], &[node]);
                sleep(millis(lasts)).await;
                self.network.heal();
            }
            Fault::Shatter { lasts } => {
                let all: Vec<NodeId> = self.sites.iter().map(|site| site.node).collect();
                self.network.cut(&all, &all);
                sleep(millis(lasts)).await;
                self.network.heal();
            }
            Fault::SlowDisk { .. } | Fault::HungDisk { .. } | Fault::Trouble { .. } => {
                self.inject_disk_fault(fault).await;
            }
            Fault::Storm { loss, delay, lasts } => {
                self.network.set_conditions(NetworkConditions { delay: (delay / 4, delay), loss });
                sleep(millis(lasts)).await;
                self.network.set_conditions(NetworkConditions::METRO);
            }
            Fault::LostDisk { who, down } => {
                let site = self.target_site(who);
                self.lose_disk(&site, down).await;
            }
            Fault::RolledBack { who, age, down } => {
                let site = self.target_site(who);
                self.roll_disk_back(&site, age, down).await;
            }
            Fault::Reset { who } => self.network.reset(self.target_site(who).node),
            Fault::HandOver { to } => self.hand_over(to).await,
            Fault::Clock(fault) => self.inject_clock_fault(fault).await,
        }
    }

    /// The site dies during its next operations. With `at_vote` the primary is killed first, so
    /// that there is an election.
    async fn crash_at(&self, who: FaultTarget, armed: ArmedCrash, down: u64) {
        let victim = self.target_site(who);
        let primary = self.target_site(FaultTarget::Primary);
        let Some(pulse) = victim.pulse() else { return victim.start() };
        pulse.arm(armed);
        let deposed = armed.from_vote && victim.node != primary.node;
        if deposed {
            kill(&primary, false);
        } else if armed.from_vote {
            self.hand_over(0).await;
        }
        let _died_or_not = tokio::time::timeout(millis(3_000), pulse.await_end()).await;
        if pulse.is_alive() {
            kill(&victim, armed.power);
        }
        sleep(millis(down)).await;
        victim.start();
        if deposed {
            primary.start();
        }
    }

    /// No second disk is lost before the first one is filled again: the design doesn't survive
    /// that.
    pub(crate) async fn lose_disk(&self, site: &Arc<SimulatedSite>, down: u64) {
        if self.sites.iter().any(|site| site.is_disk_at_risk()) {
            return self.trace.log_line("no disk is lost: a copy is still being filled");
        }
        // Before anything is awaited: two faults at once once took two disks.
        site.take_disk();
        self.trace.log_line(&format!("node {} loses its disk", site.node));
        kill(site, false);
        // Frames of the old copy are still in flight; a real machine takes longer to come back.
        sleep(millis(down.max(20))).await;
        if site.pulse().is_some() {
            // The end of another fault has started it in the meantime.
            kill(site, false);
            sleep(millis(20)).await;
        }
        site.disk.replace_with_empty();
        site.checkpoints.remove_all();
        site.start();
    }

    /// As with a lost disk, the others must be whole. They must also remember what this one
    /// forgets: what nobody remembers can't be found.
    async fn roll_disk_back(&self, site: &Arc<SimulatedSite>, age: u64, down: u64) {
        if self.sites.iter().any(|site| site.is_disk_at_risk()) {
            return self.trace.log_line("no disk is rolled back: a copy is still being filled");
        }
        site.take_disk();
        let snapshot = site.disk.snapshot();
        sleep(millis(age)).await;
        kill(site, false);
        // The others write down what they remember once a second.
        sleep(millis(down.max(2_500))).await;
        if site.pulse().is_some() {
            kill(site, false);
            sleep(millis(20)).await;
        }
        if self.is_rollback_remembered(site, &snapshot) {
            self.trace.log_line(&format!("node {}'s disk is rolled back by {age} ms", site.node));
            self.watch.lock_state().rollbacks += 1;
            site.disk.restore(&snapshot);
            site.checkpoints.remove_all();
        } else {
            self.trace.log_line("no disk is rolled back: nobody would remember");
            self.watch.lock_state().unremembered += 1;
            site.give_disk_back();
        }
        site.start();
    }

    /// Whether every other site remembers a later life of this one than the snapshot's next, or a
    /// record that it had and that the snapshot lacks.
    pub(crate) fn is_rollback_remembered(
        &self,
        site: &SimulatedSite,
        snapshot: &DiskSnapshot,
    ) -> bool {
        let old = MemoryDisk::new(0);
        old.restore(snapshot);
        let data = Path::new(DATA);
        let Ok(own) = memory::load(&old, data) else { return false };
        let next = own.own.map_or(0, |life| life.start) + 1;
        let mut last = None;
        let walked = journal::verify(&old, data, None, &mut |record| {
            last = Some(record.position);
            Ok(())
        });
        // Zeros behind the newest record of a running machine may not pass; what was read counts.
        drop(walked);
        self.others(site.node).into_iter().all(|node| {
            let other = self.sites.iter().find(|other| other.node == node).expect("a member");
            let Ok(memory) = memory::load(&other.disk, data) else { return false };
            let known = memory.members.iter().find(|member| member.node == site.node);
            known.is_some_and(|known| {
                known.life.is_some_and(|life| life.start >= next)
                    || known.had.is_some_and(|(_, position)| Some(position) > last)
            })
        })
    }

    async fn inject_disk_fault(&self, fault: Fault) {
        match fault {
            Fault::SlowDisk { who, millis: slow, lasts } => {
                let site = self.target_site(who);
                site.set_disk_conditions(DiskConditions {
                    millis: (slow / 4, slow),
                    tail_millis: slow * 3,
                    tails: 5,
                    hangs: false,
                });
                sleep(millis(lasts)).await;
                site.set_disk_conditions(DiskConditions::FAST);
            }
            Fault::HungDisk { who, lasts, then_power_loss } => {
                let site = self.target_site(who);
                site.set_disk_conditions(DiskConditions { hangs: true, ..DiskConditions::FAST });
                sleep(millis(lasts)).await;
                if then_power_loss {
                    kill(&site, true);
                }
                site.set_disk_conditions(DiskConditions::FAST);
                if then_power_loss {
                    sleep(millis(700)).await;
                }
                // It may also have stopped by itself.
                site.start();
            }
            Fault::Trouble { who, trouble, lasts } => {
                let site = self.target_site(who);
                site.begin_trouble(trouble);
                sleep(millis(lasts)).await;
                site.end_trouble();
                // It may have stopped by itself.
                site.start();
            }
            _ => unreachable!("only disk faults"),
        }
    }

    async fn hand_over(&self, to: usize) {
        let Some(primary) = self.primary() else { return };
        let Some(life) = primary.life() else { return };
        let others = self.others(primary.node);
        let to = others[to % others.len()];
        if let Err(why) = handover::request_transfer(&life.door.raft, to).await
            && life.pulse.is_alive()
        {
            self.trace.log_line(&format!("node {} can't hand over: {why}", primary.node));
        }
    }
}

/// Ends a site's process.
pub fn kill(site: &SimulatedSite, power: bool) {
    if let Some(pulse) = site.pulse() {
        site.trace.log_line(&format!(
            "node {} {}",
            site.node,
            if power { "loses its power" } else { "is killed" }
        ));
        pulse.end(power);
    } else if power {
        // It's already down; the disk holds nothing unsynced that a second power loss could lose.
        site.disk.crash();
        site.checkpoints.crash();
    }
}
