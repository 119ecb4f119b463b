//! One life of a site's process: everything between a start and a stop, a kill or a power loss. Production code all of it, but for
//! the seams: network, disk, clock, the threads of journal and keeper (tasks here).

use std::{path::Path, sync::Arc, time::Duration};

use evenkeel_node::{
    admission::Keyring,
    clock::Clock,
    gateway::forward::ForwardDoor,
    keeper::{Keeper, Rest},
    metrics::{Door, Metrics},
    replay::recovery::{Recovery, Report},
    replication::{
        engine::{Parts, Replication, seeded::seeded, types::vote_from_storage},
        peer_door::PeerDoor,
        progress,
    },
    road::Road,
    state::State,
};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::Disk,
    journal::{self, Journal, Options, Step, Writer},
};
use evenkeel_wire::peer::Lane;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    disk::{LifeDisk, Pulse},
    site::Site,
};
use crate::simulation::random::Random;

/// Where a site's data lies on its own disk.
pub const DATA: &str = "/data";

/// A running site, as doors and watchers see it.
pub struct Life {
    pub number: u64,
    pub pulse: Arc<Pulse>,
    pub journal: Journal,
    pub state: Arc<State>,
    pub road: Arc<Road>,
    pub keyring: Arc<Keyring>,
    pub door: PeerDoor,
    pub metrics: Arc<Metrics>,
}

/// Lives one life to its end. Its end by itself is told in `Err`.
pub async fn live(site: Arc<Site>, number: u64, pulse: Arc<Pulse>) -> Result<(), String> {
    let seed = site.settings.seed ^ (site.node << 32) ^ number;
    let disk: Arc<dyn Disk> = Arc::new(LifeDisk::new(site.disk.clone(), pulse.clone()));
    let options = Options {
        segment_bytes: site.settings.segment_bytes,
        ..Options::new(site.settings.genesis.cluster.0)
    };
    let (journal, writer, found) = journal::open(disk.clone(), Path::new(DATA), options)
        .map_err(|error| format!("opening the journal: {error}"))?;
    if found.cut_bytes > 0 {
        site.trace.say(&format!("node {} cut {} torn bytes", site.node, found.cut_bytes));
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
    tell_start(&site, number, &journal, &found, &recovered.report);
    let state = recovered.state.clone();
    tokio::spawn(write(writer, journal.clone(), site.clone(), pulse.clone(), seed));
    tokio::spawn(keep(keeper(&site, &journal, &state, disk.clone()), state.clone(), pulse.clone()));
    let clock: Arc<dyn Clock> = site.clock.clone();
    let metrics = Arc::new(Metrics::new());
    let starting = Replication::start(Parts {
        node: site.node,
        members: site.settings.members.clone(),
        timing: site.settings.timing,
        disk,
        data: DATA.into(),
        copy: Random::of(seed, 4).draw(),
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
        () = pulse.over() => return Ok(()),
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
    });
    accept_peers(&site, &life, seed);
    site.begins(life.clone());
    let ended = supervise(&life).await;
    // A dead process does nothing more; this only frees what it held.
    pulse.end(false);
    life.journal.close();
    let _too_slow = timeout(Duration::from_secs(20), replication.stop()).await;
    ended
}

fn tell_start(
    site: &Site,
    number: u64,
    journal: &Journal,
    found: &journal::Recovery,
    report: &Report,
) {
    site.trace.say(&format!(
        "node {} starts life {number}: journal to {:?}, checkpoint {:?}, replayed {}, vote {:?}",
        site.node,
        journal.last().map(|tip| (tip.term, tip.position)),
        report.checkpoint,
        report.replayed,
        found.vote.map(|vote| (vote.term, vote.node)),
    ));
}

fn keeper(site: &Site, journal: &Journal, state: &Arc<State>, disk: Arc<dyn Disk>) -> Keeper {
    let kept = site.checkpoints.reopen();
    let again = site.checkpoints.reopen();
    Keeper::new(
        state.clone(),
        state.history().clone(),
        journal.clone(),
        disk,
        Box::new(kept),
        Box::new(move || {
            again.set_aside();
            let anew: MemoryCheckpoints = again.reopen();
            Ok(Box::new(anew))
        }),
        Box::new(|_| ()),
    )
}

/// The keeper's thread.
async fn keep(mut keeper: Keeper, state: Arc<State>, pulse: Arc<Pulse>) {
    while pulse.is_alive() {
        let rest = match keeper.turn() {
            Ok(Rest::For(rest)) => rest.max(Duration::from_millis(1)),
            Ok(Rest::Idle) => Duration::from_millis(200),
            Err(why) => return state.fail(&why),
        };
        tokio::select! {
            biased;
            () = pulse.over() => return,
            () = sleep(rest) => {}
        }
    }
}

/// The journal's thread: it takes as long as the disk takes, and does nothing while the disk hangs.
async fn write(
    mut writer: Writer,
    journal: Journal,
    site: Arc<Site>,
    pulse: Arc<Pulse>,
    seed: u64,
) {
    const QUIET: Duration = Duration::from_millis(20);
    let wake = Arc::new(Notify::new());
    let waker = wake.clone();
    journal.set_wake(Box::new(move || waker.notify_one()));
    let mut random = Random::of(seed, 2);
    let mut quiet = false;
    while pulse.is_alive() {
        tokio::select! {
            biased;
            () = pulse.over() => break,
            () = site.disk_takes(&mut random) => {}
        }
        let jobs_max = if random.chance(10) { 1 } else { 4096 };
        match writer.step(jobs_max) {
            Step::Worked => {
                site.trace.event(2, &[site.node, journal.durable().unwrap_or(u64::MAX)], &[]);
                quiet = false;
                continue;
            }
            Step::Poisoned => return,
            Step::Idle => {}
        }
        if quiet {
            writer.idle();
            tokio::select! {
                biased;
                () = pulse.over() => break,
                () = wake.notified() => quiet = false,
            }
        } else {
            tokio::select! {
                biased;
                () = pulse.over() => break,
                () = wake.notified() => {}
                () = sleep(QUIET) => quiet = true,
            }
        }
    }
    // Whoever waits for this disk is told that it's gone.
    while matches!(writer.step(4096), Step::Worked) {}
}

fn accept_peers(site: &Arc<Site>, life: &Arc<Life>, seed: u64) {
    let door = life.door.clone();
    let (road, state) = (life.road.clone(), life.state.clone());
    let keyring = life.keyring.clone();
    let metrics = life.metrics.door(Door::Forward).clone();
    let forward = Arc::new(ForwardDoor { road, state, keyring, metrics });
    let random = std::sync::Mutex::new(Random::of(seed, 3));
    let pulse = life.pulse.clone();
    site.network.up(
        site.node,
        life.pulse.clone(),
        Arc::new(move |from, lane, ends| {
            let (door, forward, pulse) = (door.clone(), forward.clone(), pulse.clone());
            let seed = random.lock().expect("nobody panics here").draw();
            let serve = async move {
                let served = async {
                    match lane {
                        Lane::Control => door.serve_control(from, ends).await,
                        Lane::Append => door.serve_append(from, ends).await,
                        Lane::Forward => forward.serve(ends).await,
                    }
                };
                tokio::select! {
                    biased;
                    () = pulse.over() => {}
                    served = served => if let Err(error) = served {
                        tracing::debug!(from, ?lane, %error, "a lane ended");
                    }
                }
            };
            tokio::spawn(seeded(seed, serve));
        }),
    );
}

/// Waits for the end, as a node does.
async fn supervise(life: &Life) -> Result<(), String> {
    let mut failed = life.state.failed();
    loop {
        tokio::select! {
            biased;
            () = life.pulse.over() => return Ok(()),
            _ = failed.changed() => {}
            () = sleep(Duration::from_millis(100)) => {}
        }
        let known = failed.borrow().clone();
        if let Some(why) = known {
            return ended(life, why);
        }
        if let Some(why) = life.journal.poisoned() {
            return ended(life, format!("the journal can't be written: {why}"));
        }
        if let Some(why) = progress::look(&life.door.raft).stopped {
            return ended(life, format!("replication has stopped: {why}"));
        }
    }
}

fn ended(life: &Life, why: String) -> Result<(), String> {
    if life.pulse.is_alive() { Err(why) } else { Ok(()) }
}
