//! One life of a site's process, from a start to a stop, a kill or a power loss. It runs production
//! code; only network, disk, clock and the threads of journal and keeper (tasks here) are replaced.

use std::{path::Path, sync::Arc, time::Duration};

use evenkeel_node::{
    admission::Keyring,
    clock::Clock,
    gateway::forward::ForwardDoor,
    history::{LookupThreads, Turn},
    keeper::{Keeper, Reopening, Rest},
    metrics::{DoorKind, Metrics},
    replay::recovery::{Recovery, RecoveryReport},
    replication::{
        engine::{Replication, ReplicationParts, seeded::seeded, types::vote_from_storage},
        peer_door::PeerDoor,
        peers::clocks::PeerClocks,
        progress,
    },
    road::Road,
    state::{AppliedState, ReadThreads},
};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::Disk,
    journal::{self, Journal, JournalOptions, Writer, WriterStep},
};
use evenkeel_wire::peer::Lane;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    disk::{LifeDisk, LifePulse},
    site::SimulatedSite,
};
use crate::simulation::random::Random;

/// The path of a site's data on its own disk.
pub const DATA: &str = "/data";

/// A running site, as doors and watchers see it.
pub struct Life {
    pub number: u64,
    pub pulse: Arc<LifePulse>,
    pub journal: Journal,
    pub state: Arc<AppliedState>,
    pub road: Arc<Road>,
    pub keyring: Arc<Keyring>,
    pub door: PeerDoor,
    pub metrics: Arc<Metrics>,
    pub clocks: Arc<PeerClocks>,
}

/// Runs one life to its end; `Err` says why it stopped by itself.
pub async fn run_life(
    site: Arc<SimulatedSite>,
    number: u64,
    pulse: Arc<LifePulse>,
) -> Result<(), String> {
    let seed = site.settings.seed ^ (site.node << 32) ^ number;
    let disk: Arc<dyn Disk> = Arc::new(LifeDisk::new(site.disk.clone(), pulse.clone()));
    let options = JournalOptions {
        segment_bytes: site.settings.segment_bytes,
        ..JournalOptions::new(site.settings.genesis.cluster.0)
    };
    let (journal, writer, found) = journal::open(disk.clone(), Path::new(DATA), options)
        .map_err(|error| format!("opening the journal: {error}"))?;
    if found.cut_bytes > 0 {
        site.trace.log_line(&format!("node {} cut {} torn bytes", site.node, found.cut_bytes));
    }
    let mut checkpoints = site.checkpoints.reopen();
    let recovered = Recovery {
        disk: disk.clone(),
        journal: journal.clone(),
        checkpoints: &mut checkpoints,
        progress: &mut |_, _| (),
    }
    .run()
    .map_err(|error| format!("recovering: {error}"))?;
    site.watch.started(site.node, &recovered.report, &journal);
    report_start(&site, number, &journal, &found, &recovered.report);
    let state = recovered.state.clone();
    state.set_read_threads(ReadThreads {
        replication: slow_reads(&site, &pulse, Random::for_purpose(seed, 5)),
        doors: slow_reads(&site, &pulse, Random::for_purpose(seed, 6)),
    });
    tokio::spawn(run_writer(writer, journal.clone(), site.clone(), pulse.clone(), seed));
    tokio::spawn(run_keeper(
        new_keeper(&site, &journal, &state, disk.clone()),
        state.clone(),
        pulse.clone(),
    ));
    let clock: Arc<dyn Clock> = site.clock.clone();
    let metrics = Arc::new(Metrics::new());
    let starting = Replication::start(ReplicationParts {
        node: site.node,
        members: site.settings.members.clone(),
        timing: site.settings.timing,
        disk,
        data: DATA.into(),
        copy: Random::for_purpose(seed, 4).next_u64(),
        memory: found.memory.clone(),
        sites: std::collections::BTreeMap::new(),
        journal: journal.clone(),
        vote: found.vote.map(vote_from_storage),
        applied: recovered.applied,
        membership: recovered.membership,
        state: state.clone(),
        clock,
        transport: site.network.transport(site.node, pulse.clone()),
        timeline: None,
        genesis: site.settings.genesis.clone(),
        metrics: metrics.clone(),
    });
    let replication = tokio::select! {
        biased;
        () = pulse.await_end() => return Ok(()),
        started = starting => started.map_err(|error| format!("starting replication: {error}"))?,
    };
    let life = Arc::new(Life {
        number,
        pulse: pulse.clone(),
        journal,
        state: state.clone(),
        road: replication.road.clone(),
        keyring: replication.keyring.clone(),
        door: replication.door.clone(),
        metrics,
        clocks: replication.clocks.clone(),
    });
    accept_peers(&site, &life, seed);
    site.set_life(life.clone());
    let ended = supervise(&life).await;
    // A dead process does nothing more; this only releases its resources.
    pulse.end(false);
    life.journal.close();
    let _too_slow = timeout(Duration::from_secs(20), replication.stop()).await;
    ended
}

/// The threads that read files, as tasks: each turn of a piece of work takes the disk's time.
fn slow_reads(site: &Arc<SimulatedSite>, pulse: &Arc<LifePulse>, random: Random) -> LookupThreads {
    let (site, pulse, random) = (site.clone(), pulse.clone(), std::sync::Mutex::new(random));
    LookupThreads::by(Arc::new(move |mut work| {
        let (site, pulse) = (site.clone(), pulse.clone());
        let seed = random.lock().expect("no holder panics").next_u64();
        tokio::spawn(async move {
            let mut random = Random::for_purpose(seed, 0);
            loop {
                tokio::select! {
                    biased;
                    () = pulse.await_end() => return,
                    () = site.wait_for_disk(&mut random) => {}
                }
                if work.take_turn() == Turn::Done {
                    return;
                }
            }
        });
    }))
}

fn report_start(
    site: &SimulatedSite,
    number: u64,
    journal: &Journal,
    found: &journal::JournalRecovery,
    report: &RecoveryReport,
) {
    site.trace.log_line(&format!(
        "node {} starts life {number}: journal to {:?}, checkpoint {:?}, replayed {}, vote {:?}",
        site.node,
        journal.newest_tip().map(|tip| (tip.term, tip.position)),
        report.checkpoint,
        report.replayed,
        found.vote.map(|vote| (vote.term, vote.node)),
    ));
}

fn new_keeper(
    site: &SimulatedSite,
    journal: &Journal,
    state: &Arc<AppliedState>,
    disk: Arc<dyn Disk>,
) -> Keeper {
    let kept = site.checkpoints.reopen();
    let again = site.checkpoints.reopen();
    Keeper::new(
        state.clone(),
        state.history().clone(),
        journal.clone(),
        disk,
        Box::new(kept),
        Box::new(move |reopening| {
            if reopening == Reopening::Anew {
                again.remove_all();
            }
            let anew: MemoryCheckpoints = again.reopen();
            Ok(Box::new(anew))
        }),
        Box::new(|_| ()),
    )
}

/// The keeper's thread, as a task.
async fn run_keeper(mut keeper: Keeper, state: Arc<AppliedState>, pulse: Arc<LifePulse>) {
    while pulse.is_alive() {
        let rest = match keeper.run_turn() {
            Ok(Rest::For(rest)) => rest.max(Duration::from_millis(1)),
            Ok(Rest::Idle) => Duration::from_millis(200),
            Err(why) => return state.fail(&why),
        };
        tokio::select! {
            biased;
            () = pulse.await_end() => return,
            () = sleep(rest) => {}
        }
    }
}

/// The journal's thread, as a task: each step takes the disk's time, and none runs while the disk
/// hangs.
async fn run_writer(
    mut writer: Writer,
    journal: Journal,
    site: Arc<SimulatedSite>,
    pulse: Arc<LifePulse>,
    seed: u64,
) {
    const QUIET: Duration = Duration::from_millis(20);
    const WAIT_RETRY: Duration = Duration::from_millis(100);
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    journal.set_wake(Box::new(move || waker.notify_one()));
    let mut random = Random::for_purpose(seed, 2);
    let mut quiet = false;
    while pulse.is_alive() {
        tokio::select! {
            biased;
            () = pulse.await_end() => break,
            () = site.wait_for_disk(&mut random) => {}
        }
        let jobs_max = if random.chance(10) { 1 } else { 4096 };
        match writer.step(jobs_max) {
            WriterStep::Worked => {
                site.trace.event(
                    2,
                    &[site.node, journal.durable_position().unwrap_or(u64::MAX)],
                    &[],
                );
                quiet = false;
                continue;
            }
            WriterStep::Poisoned => return,
            WriterStep::Waiting => {
                tokio::select! {
                    biased;
                    () = pulse.await_end() => break,
                    () = sleep(WAIT_RETRY) => continue,
                }
            }
            WriterStep::Idle => {}
        }
        if quiet {
            writer.handle_idle();
            tokio::select! {
                biased;
                () = pulse.await_end() => break,
                () = wake.notified() => quiet = false,
            }
        } else {
            tokio::select! {
                biased;
                () = pulse.await_end() => break,
                () = wake.notified() => {}
                () = sleep(QUIET) => quiet = true,
            }
        }
    }
    // Waiting writers get an error: the disk is gone.
    while matches!(writer.step(4096), WriterStep::Worked) {}
}

fn accept_peers(site: &Arc<SimulatedSite>, life: &Arc<Life>, seed: u64) {
    let door = life.door.clone();
    let (road, state) = (life.road.clone(), life.state.clone());
    let keyring = life.keyring.clone();
    let metrics = life.metrics.door(DoorKind::Forward).clone();
    let forward = Arc::new(ForwardDoor { road, state, keyring, metrics });
    let random = std::sync::Mutex::new(Random::for_purpose(seed, 3));
    let pulse = life.pulse.clone();
    site.network.attach_site(
        site.node,
        life.pulse.clone(),
        Arc::new(move |from, lane, ends| {
            let (door, forward, pulse) = (door.clone(), forward.clone(), pulse.clone());
            let seed = random.lock().expect("no holder panics").next_u64();
            let serve = async move {
                let served = async {
                    match lane {
                        Lane::Control => door.serve_control(from, ends).await,
                        Lane::Append => door.serve_append(from, ends).await,
                        Lane::Forward => forward.serve(ends).await,
                        // All sites run the same settings here.
                        Lane::About => Ok(()),
                    }
                };
                tokio::select! {
                    biased;
                    () = pulse.await_end() => {}
                    served = served => if let Err(error) = served {
                        tracing::debug!(from, ?lane, %error, "a lane ended");
                    }
                }
            };
            tokio::spawn(seeded(seed, serve));
        }),
    );
}

/// Waits for a failure, as a node does.
async fn supervise(life: &Life) -> Result<(), String> {
    let mut failed = life.state.watch_failure();
    loop {
        tokio::select! {
            biased;
            () = life.pulse.await_end() => return Ok(()),
            _ = failed.changed() => {}
            () = sleep(Duration::from_millis(100)) => {}
        }
        let known = failed.borrow().clone();
        if let Some(why) = known {
            return error_if_alive(life, why);
        }
        if let Some(why) = life.journal.poison_reason() {
            return error_if_alive(life, format!("the journal can't be written: {why}"));
        }
        if let Some(why) = progress::read_status(&life.door.raft).stopped {
            return error_if_alive(life, format!("replication has stopped: {why}"));
        }
    }
}

fn error_if_alive(life: &Life, why: String) -> Result<(), String> {
    if life.pulse.is_alive() { Err(why) } else { Ok(()) }
}
