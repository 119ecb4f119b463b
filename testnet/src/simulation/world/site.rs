//! A site: what outlives its process (disk, checkpoint, clock), and the process that lives at the moment.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_node::{
    config::Timing,
    replication::{engine::seeded::seeded, leadership::handover::DISK_HUNG},
};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{Disk, MemoryDisk},
};
use evenkeel_wire::{genesis::Genesis, id::NodeId};
use tokio::{sync::Notify, time::sleep};

use super::{
    clock::SimulatedClock,
    disk::Pulse,
    life::{DATA, Life, live},
    network::Network,
};
use crate::simulation::{
    checks::{trace::Trace, watch::Watch},
    random::Random,
};

/// What all sites of a run share.
#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    pub members: Vec<NodeId>,
    pub timing: Timing,
    pub segment_bytes: u64,
    pub genesis: Genesis,
}

/// How long a disk takes for one turn of the journal's writer.
#[derive(Clone, Copy, Debug)]
pub struct DiskMood {
    pub millis: (u64, u64),
    /// Of a hundred turns, how many take up to `tail_millis`.
    pub tails: u64,
    pub tail_millis: u64,
    pub hangs: bool,
}

impl DiskMood {
    /// A good disk on a good day.
    pub const FAST: Self = Self { millis: (0, 2), tails: 1, tail_millis: 40, hangs: false };
}

/// One site.
pub struct Site {
    pub node: NodeId,
    pub settings: Settings,
    pub disk: MemoryDisk,
    pub checkpoints: MemoryCheckpoints,
    pub clock: Arc<SimulatedClock>,
    pub network: Arc<Network>,
    pub trace: Arc<Trace>,
    pub watch: Arc<Watch>,
    mood: Mutex<DiskMood>,
    mood_changed: Notify,
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    lives: u64,
    pulse: Option<Arc<Pulse>>,
    life: Option<Arc<Life>>,
}

impl Site {
    #[must_use]
    pub fn new(
        node: NodeId,
        settings: Settings,
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
            mood: Mutex::new(DiskMood::FAST),
            mood_changed: Notify::new(),
            process: Mutex::default(),
        })
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process, unless it runs.
    pub fn start(self: &Arc<Self>) {
        let (number, pulse) = {
            let mut process = self.process();
            if process.pulse.as_ref().is_some_and(|pulse| pulse.is_alive()) {
                return;
            }
            process.lives += 1;
            let pulse = Arc::new(Pulse::new(self.disk.clone(), self.checkpoints.reopen()));
            process.pulse = Some(pulse.clone());
            process.life = None;
            (process.lives, pulse)
        };
        let site = self.clone();
        let seed = Random::of(self.settings.seed ^ self.node, number).draw();
        tokio::spawn(seeded(seed, async move {
            let buried = tokio::spawn(site.clone().bury(pulse.clone()));
            if let Err(why) = live(site.clone(), number, pulse.clone()).await
                && pulse.is_alive()
            {
                if site.current_mood().hangs && why == DISK_HUNG {
                    site.trace.say(&format!("node {} stops by itself: its disk hangs", site.node));
                } else {
                    site.watch.broken(format!("node {} stopped by itself: {why}", site.node));
                }
            }
            pulse.end(false);
            let _done = buried.await;
        }));
    }

    /// Tells everyone when a life is over.
    async fn bury(self: Arc<Self>, pulse: Arc<Pulse>) {
        pulse.over().await;
        self.trace.say(&format!("node {} is down", self.node));
        self.watch.died(self.node);
        self.network.down(self.node);
    }

    /// The process answers from now on.
    pub fn begins(&self, life: Arc<Life>) {
        self.process().life = Some(life);
    }

    /// The process, if it answers.
    pub fn life(&self) -> Option<Arc<Life>> {
        self.process().life.clone().filter(|life| life.pulse.is_alive())
    }

    /// Whether the process runs, answering or not.
    pub fn pulse(&self) -> Option<Arc<Pulse>> {
        self.process().pulse.clone().filter(|pulse| pulse.is_alive())
    }

    /// Whether its copy began empty and hasn't caught up.
    pub fn is_joining(&self) -> bool {
        let held = self.disk.list(Path::new(DATA)).unwrap_or_default();
        held.iter().any(|name| name == "joining")
    }

    pub fn mood(&self, mood: DiskMood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        self.mood_changed.notify_waiters();
    }

    fn current_mood(&self) -> DiskMood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for as long as the disk takes.
    pub async fn disk_takes(&self, random: &mut Random) {
        let mood = self.current_mood();
        let tail = random.chance(mood.tails);
        let high = if tail { mood.tail_millis } else { mood.millis.1 };
        let takes = random.millis(mood.millis.0, high);
        if takes >= Duration::from_millis(1) {
            sleep(takes).await;
        }
        loop {
            let changed = self.mood_changed.notified();
            if !self.current_mood().hangs {
                return;
            }
            changed.await;
        }
    }
}
