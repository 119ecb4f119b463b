//! A site: the parts that outlive its process (disk, checkpoint, clock), and the current process.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use evenkeel_node::{
    config::Timing,
    replication::{engine::seeded::seeded, leadership::trigger::DISK_HUNG},
};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{DiskTrouble, MemoryDisk},
    superblock::JOINING,
};
use evenkeel_wire::{genesis::Genesis, id::NodeId};
use tokio::{sync::Notify, time::sleep};

use super::{
    clock::SimulatedClock,
    disk::LifePulse,
    life::{DATA, Life, run_life},
    network::Network,
};
use crate::simulation::{
    checks::{trace::Trace, watch::Watch},
    random::Random,
};

/// Settings shared by all sites of a run.
#[derive(Clone)]
pub struct SiteSettings {
    pub seed: u64,
    pub members: Vec<NodeId>,
    pub timing: Timing,
    pub segment_bytes: u64,
    pub genesis: Genesis,
}

/// The time that a disk takes for one step of the journal's writer.
#[derive(Clone, Copy, Debug)]
pub struct DiskConditions {
    pub millis: (u64, u64),
    /// Percentage of steps that take up to `tail_millis`.
    pub tails: u64,
    pub tail_millis: u64,
    pub hangs: bool,
}

impl DiskConditions {
    /// A fast disk.
    pub const FAST: Self = Self { millis: (0, 2), tails: 1, tail_millis: 40, hangs: false };
}

const SAFE: u8 = 0;
/// A fault is about to take the disk, or has taken it.
const TAKEN: u8 = 1;
/// The copy knows that it must catch up.
const CATCHING_UP: u8 = 2;

/// One site.
pub struct SimulatedSite {
    pub node: NodeId,
    pub settings: SiteSettings,
    pub disk: MemoryDisk,
    pub checkpoints: MemoryCheckpoints,
    pub clock: Arc<SimulatedClock>,
    pub network: Arc<Network>,
    pub trace: Arc<Trace>,
    pub watch: Arc<Watch>,
    /// Whether its disk is being replaced or rolled back, until its copy counts again.
    disk_at_risk: AtomicU8,
    disk_conditions: Mutex<DiskConditions>,
    disk_conditions_changed: Notify,
    /// What was wrong with the disk in the current life.
    troubled: Mutex<DiskTrouble>,
    process: Mutex<SiteProcess>,
}

#[derive(Default)]
struct SiteProcess {
    lives: u64,
    pulse: Option<Arc<LifePulse>>,
    life: Option<Arc<Life>>,
}

impl SimulatedSite {
    #[must_use]
    pub fn new(
        node: NodeId,
        settings: SiteSettings,
        clock: Arc<SimulatedClock>,
        network: Arc<Network>,
        trace: Arc<Trace>,
        watch: Arc<Watch>,
    ) -> Arc<Self> {
        Arc::new(Self {
            node,
            disk: MemoryDisk::new(settings.seed ^ (node << 8)),
            checkpoints: MemoryCheckpoints::new(settings.seed ^ (node << 16)),
            settings,
            clock,
            network,
            trace,
            watch,
            disk_at_risk: AtomicU8::new(SAFE),
            disk_conditions: Mutex::new(DiskConditions::FAST),
            disk_conditions_changed: Notify::new(),
            troubled: Mutex::default(),
            process: Mutex::default(),
        })
    }

    fn lock_process(&self) -> MutexGuard<'_, SiteProcess> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process, unless it's running.
    pub fn start(self: &Arc<Self>) {
        let (number, pulse) = {
            let mut process = self.lock_process();
            if process.pulse.as_ref().is_some_and(|pulse| pulse.is_alive()) {
                return;
            }
            process.lives += 1;
            // What was wrong before this life doesn't excuse its end.
            *self.troubled.lock().unwrap_or_else(PoisonError::into_inner) = self.disk.trouble();
            let pulse = Arc::new(LifePulse::new(self.disk.clone(), self.checkpoints.reopen()));
            process.pulse = Some(pulse.clone());
            process.life = None;
            (process.lives, pulse)
        };
        let site = self.clone();
        let seed = Random::for_purpose(self.settings.seed ^ self.node, number).next_u64();
        tokio::spawn(seeded(seed, async move {
            let buried = tokio::spawn(site.clone().report_end(pulse.clone()));
            if let Err(why) = run_life(site.clone(), number, pulse.clone()).await
                && pulse.is_alive()
            {
                if site.disk_conditions().hangs && why == DISK_HUNG {
                    site.trace
                        .log_line(&format!("node {} stops by itself: its disk hangs", site.node));
                } else if site.may_stop_for_its_disk(&why) {
                    site.trace.log_line(&format!(
                        "node {} stops by itself, in trouble with its disk: {why}",
                        site.node
                    ));
                } else {
                    site.watch
                        .report_broken(format!("node {} stopped by itself: {why}", site.node));
                }
            }
            pulse.end(false);
            let _done = buried.await;
        }));
    }

    /// Reports the end of a life to the other sites.
    async fn report_end(self: Arc<Self>, pulse: Arc<LifePulse>) {
        pulse.await_end().await;
        self.trace.log_line(&format!("node {} is down", self.node));
        self.watch.died(self.node);
        self.network.detach_site(self.node);
    }

    /// Registers the life that answers from now on.
    pub fn set_life(&self, life: Arc<Life>) {
        self.lock_process().life = Some(life);
    }

    /// The current life, if it answers.
    pub fn life(&self) -> Option<Arc<Life>> {
        self.lock_process().life.clone().filter(|life| life.pulse.is_alive())
    }

    /// The pulse of the current process, whether or not it answers.
    pub fn pulse(&self) -> Option<Arc<LifePulse>> {
        self.lock_process().pulse.clone().filter(|pulse| pulse.is_alive())
    }

    /// Whether its copy started empty and hasn't caught up.
    pub fn is_joining(&self) -> bool {
        self.disk.holds_file(&Path::new(DATA).join(JOINING))
    }

    /// From now on something is wrong with the disk.
    pub fn begin_trouble(&self, trouble: DiskTrouble) {
        self.disk.set_trouble(trouble);
        *self.troubled.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Nothing is wrong with the disk any more.
    pub fn end_trouble(&self) {
        self.disk.set_trouble(DiskTrouble::default());
    }

    /// A disk that was full, or failed writes or reads, may end the process: what it kept in memory
    /// of that time stays. A lack of descriptors may end a start, which is tried again, and nothing
    /// else.
    fn may_stop_for_its_disk(&self, why: &str) -> bool {
        let troubled = *self.troubled.lock().unwrap_or_else(PoisonError::into_inner);
        let starts = ["opening the journal", "recovering", "starting replication"];
        let is_start = starts.iter().any(|start| why.starts_with(start));
        let broken = troubled.full || troubled.unwritable || troubled.unreadable;
        broken || (troubled.few_descriptors && is_start)
    }

    /// Whether its disk was taken, or its copy doesn't count yet.
    pub fn is_disk_at_risk(&self) -> bool {
        self.is_joining() || self.disk_at_risk.load(Ordering::Relaxed) != SAFE
    }

    /// A fault takes the disk.
    pub fn take_disk(&self) {
        self.disk_at_risk.store(TAKEN, Ordering::Relaxed);
    }

    /// The fault leaves the disk as it was.
    pub fn give_disk_back(&self) {
        self.disk_at_risk.store(SAFE, Ordering::Relaxed);
    }

    /// Looks whether the copy counts again.
    pub fn watch_disk(&self) {
        match (self.disk_at_risk.load(Ordering::Relaxed), self.is_joining()) {
            (TAKEN, true) => self.disk_at_risk.store(CATCHING_UP, Ordering::Relaxed),
            (CATCHING_UP, false) => self.give_disk_back(),
            _ => {}
        }
    }

    pub fn set_disk_conditions(&self, mood: DiskConditions) {
        *self.disk_conditions.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        self.disk_conditions_changed.notify_waiters();
    }

    fn disk_conditions(&self) -> DiskConditions {
        *self.disk_conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the disk's delay.
    pub async fn wait_for_disk(&self, random: &mut Random) {
        let mood = self.disk_conditions();
        let tail = random.chance(mood.tails);
        let high = if tail { mood.tail_millis } else { mood.millis.1 };
        let takes = random.millis(mood.millis.0, high);
        if takes >= Duration::from_millis(1) {
            sleep(takes).await;
        }
        loop {
            let changed = self.disk_conditions_changed.notified();
            if !self.disk_conditions().hangs {
                return;
            }
            changed.await;
        }
    }
}
