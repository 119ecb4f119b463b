//! The simulated world of one run: three sites, a network and clients, from the seed to the
//! verdict. It never uses real time, threads, sockets or files.

#[cfg(evenkeel_simulation)]
pub mod client;
#[cfg(evenkeel_simulation)]
pub mod clock;
#[cfg(evenkeel_simulation)]
pub mod disk;
#[cfg(evenkeel_simulation)]
pub mod life;
#[cfg(evenkeel_simulation)]
pub mod network;
#[cfg(evenkeel_simulation)]
pub mod site;
#[cfg(evenkeel_simulation)]
pub mod workload;

use std::{sync::Arc, time::Duration};

use evenkeel_node::{admission::key_hash, clock::Clock, config::Profile};
use evenkeel_oracle::sums;
use evenkeel_wire::{
    amount::Asset, day::BusinessDate, genesis::Genesis, id::ClusterId, reply::Totals,
    transfer::Text,
};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::{
    client::OPERATOR,
    clock::SimulatedClock,
    network::{Network, NetworkConditions},
    site::{DiskConditions, SimulatedSite, SiteSettings},
    workload::{SimulatedClient, Tally},
};
use super::{
    checks::{
        invariants::{
            progress::{AGREEMENT_WITHIN, COMMANDS_WITHIN},
            time::ClockState,
            upkeep,
        },
        trace::Trace,
        watch::Watch,
    },
    faults::{
        fault::kill,
        plan::{Expectation, PlanStep, RunPlan},
    },
    random::Random,
};

/// The time zone of the business day.
pub const TIME_ZONE: &str = "Asia/Seoul";
/// The fault-free time at the end of a run, in which pending work is done.
const REST: Duration = Duration::from_secs(3);
/// The shortest run.
const LASTS: Duration = Duration::from_secs(60);
/// A longer run counts as hung.
const LASTS_MAX: Duration = Duration::from_secs(600);

/// The result of a run.
#[derive(Clone, Debug)]
pub struct RunVerdict {
    pub broken: Option<String>,
    pub trace: String,
    pub events: u64,
    pub simulated: Duration,
    pub faults: usize,
    pub terms: usize,
    pub entries: u64,
    pub tally: Tally,
    pub checked: u64,
    /// How many disks were rolled back.
    pub rollbacks: u64,
    /// How many weren't, because no other site remembered what would be forgotten.
    pub unremembered: u64,
    pub story: Vec<String>,
}

/// The state of one run.
pub struct World {
    pub sites: Vec<Arc<SimulatedSite>>,
    pub network: Arc<Network>,
    pub trace: Arc<Trace>,
    pub watch: Arc<Watch>,
    seed: u64,
    plan: RunPlan,
}

/// Runs a plan to its end on a runtime with simulated time.
pub async fn run(seed: u64, plan: RunPlan, aloud: bool) -> RunVerdict {
    let begun = Instant::now();
    let world = Arc::new(World::new(seed, plan, aloud));
    let tally = match timeout(LASTS_MAX, world.clone().run_plan()).await {
        Ok(tally) => tally,
        Err(_) => {
            world.watch.report_broken(format!("progress: the run wasn't over after {LASTS_MAX:?}"));
            Tally::default()
        }
    };
    if let Some(panic) = super::panics::take_panic() {
        world.watch.report_broken(format!("panic: {panic}"));
    }
    let (trace, events) = world.trace.hash_and_count();
    let inner = world.watch.lock_state();
    let faults = world.plan.acts.iter().map(|(_, act)| act.faults()).sum();
    RunVerdict {
        broken: inner.first_broken(),
        trace,
        events,
        simulated: begun.elapsed(),
        faults,
        terms: inner.primaries.terms(),
        entries: inner.chain.len(),
        tally,
        checked: inner.acknowledged.counts().checked + inner.reads.checked,
        rollbacks: inner.rollbacks,
        unremembered: inner.unremembered,
        story: world.trace.story(),
    }
}

impl PlanStep {
    fn faults(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Together(all) => all.len(),
            Self::Expect(
                Expectation::NewPrimary { .. }
                | Expectation::SamePrimary { .. }
                | Expectation::RelievedOfHungDisk
                | Expectation::ClockRelieved(_)
                | Expectation::TimeGoesOn { .. }
                | Expectation::StandsStillWithoutTwoDisks
                | Expectation::NothingAfterARollback
                | Expectation::NothingBehindACut,
            ) => 1,
            Self::Expect(_) => 0,
        }
    }
}

fn genesis() -> Genesis {
    Genesis {
        cluster: ClusterId([0xe7; 16]),
        assets: vec![Asset::parse("KRW").expect("a name"), Asset::parse("POINT").expect("a name")],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 7 * 24 * 3_600_000,
        id_tolerance_ms: 300_000,
        time_zone: Text::new(TIME_ZONE).expect("short"),
        operator_key: key_hash(OPERATOR),
        first_date: BusinessDate::FIRST,
    }
}

impl World {
    fn new(seed: u64, plan: RunPlan, aloud: bool) -> Self {
        let start = Instant::now();
        let trace = Arc::new(Trace::new(aloud));
        let watch = Watch::new(trace.clone());
        let network = Network::new(seed, plan.idle, trace.clone(), watch.clone());
        let settings = SiteSettings {
            seed,
            members: vec![1, 2, 3],
            timing: Profile::Metro.timing(),
            segment_bytes: plan.segment_bytes,
            genesis: genesis(),
        };
        let site = |(node, offset): (u64, i64)| {
            let clock = Arc::new(SimulatedClock::new(start, offset * 1_000));
            let (network, trace, watch) = (network.clone(), trace.clone(), watch.clone());
            SimulatedSite::new(node, settings.clone(), clock, network, trace, watch)
        };
        let sites: Vec<_> = (1..).zip(plan.clocks).map(site).collect();
        for (site, millis) in sites.iter().zip(plan.founding.map_or([0; 3], |first| first.errors)) {
            site.clock.step(millis * 1_000);
        }
        Self { sites, network, trace, watch, seed, plan }
    }

    async fn run_plan(self: Arc<Self>) -> Tally {
        let begun = Instant::now();
        tokio::spawn(self.network.clone().reap());
        tokio::spawn(self.clone().watch_sites());
        tokio::spawn(self.clone().set_clocks_right());
        for (after, power) in &self.plan.early_kills {
            self.sites.iter().for_each(|site| site.start());
            sleep(Duration::from_millis(*after)).await;
            self.sites.iter().for_each(|site| kill(site, *power));
            sleep(Duration::from_millis(50)).await;
        }
        self.sites.iter().for_each(|site| site.start());
        let mut first = self.client(0);
        first.open_accounts().await;
        self.trace.log_line("accounts are open");
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut working = Vec::new();
        for number in 1..=self.plan.habits.clients {
            let (client, stopped) = (self.client(number), stopped.clone());
            working.push(tokio::spawn(client.work(stopped)));
        }
        for (calm, act) in &self.plan.acts {
            sleep(Duration::from_millis(*calm)).await;
            self.perform(act).await;
            if self.watch.first_broken().is_some() {
                return Tally::default();
            }
        }
        self.heal().await;
        self.demand_commands(&mut first).await;
        sleep_until((begun + LASTS - Duration::from_secs(1)).max(Instant::now() + REST)).await;
        stop.send_replace(true);
        let mut tally = first.tally;
        for client in join_all(working).await {
            tally.add(client.unwrap_or_default());
        }
        self.demand_agreement().await;
        sleep_until(begun + LASTS).await;
        self.check_at_end();
        tally
    }

    pub(crate) fn client(&self, number: u64) -> SimulatedClient {
        let random = Random::for_purpose(self.seed, 100 + number);
        SimulatedClient::new(self.sites.clone(), self.watch.clone(), random, self.plan.habits)
    }

    /// Ends the errors that the clocks have at first.
    async fn set_clocks_right(self: Arc<Self>) {
        let Some(founding) = self.plan.founding else { return };
        sleep(Duration::from_millis(founding.last)).await;
        self.trace.log_line("the clocks are set right");
        for (site, millis) in self.sites.iter().zip(founding.errors) {
            site.clock.step(-millis * 1_000);
        }
    }

    fn observe_clocks(&self) {
        let state = |site: &Arc<SimulatedSite>| ClockState {
            runs: site.life().is_some(),
            ahead: site.clock.ahead(),
        };
        let clocks: Vec<ClockState> = self.sites.iter().map(state).collect();
        let true_time = self.sites[0].clock.true_micros();
        self.watch.lock_state().time.observe_clocks(&clocks, true_time, Instant::now());
    }

    /// Checks all sites at short intervals.
    async fn watch_sites(self: Arc<Self>) {
        loop {
            self.observe_clocks();
            for site in &self.sites {
                site.watch_disk();
                if let Some(life) = site.life() {
                    self.watch.check_site(site.node, &life.journal, &life.state);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn perform(&self, act: &PlanStep) {
        match act {
            PlanStep::One(fault) => self.inject_fault(*fault).await,
            PlanStep::Together(faults) => {
                join_all(faults.iter().map(|fault| self.inject_fault(*fault))).await;
            }
            PlanStep::Expect(expect) => {
                if let Err(why) = self.check_expectation(*expect).await {
                    self.watch.report_broken(why);
                }
            }
        }
    }

    async fn heal(&self) {
        self.trace.log_line("all faults are healed");
        self.network.heal();
        self.network.set_conditions(NetworkConditions::METRO);
        for site in &self.sites {
            site.set_disk_conditions(DiskConditions::FAST);
            site.end_trouble();
            if let Some(pulse) = site.pulse() {
                pulse.disarm();
            }
            site.start();
        }
        sleep(Duration::from_millis(100)).await;
        self.sites.iter().for_each(|site| site.start());
        self.watch.lock_state().time.record_healed(Instant::now());
    }

    async fn demand_commands(&self, client: &mut SimulatedClient) {
        let begun = Instant::now();
        for site in &self.sites {
            let left = COMMANDS_WITHIN.saturating_sub(begun.elapsed());
            if let Err(why) = client.transfer_through(site, left).await {
                return self.watch.report_broken(format!("progress: after healing {why}"));
            }
        }
        self.trace
            .log_line(&format!("commands are decided at every site after {:?}", begun.elapsed()));
    }

    async fn demand_agreement(&self) {
        let until = Instant::now() + AGREEMENT_WITHIN;
        loop {
            let states: Vec<_> = self
                .sites
                .iter()
                .map(|site| {
                    let life = site.life()?;
                    Some(life.state.with_ledger(|ledger| (ledger.position(), ledger.digest())))
                })
                .collect();
            if states[0].is_some() && states.iter().all(|state| *state == states[0]) {
                return self
                    .trace
                    .log_line(&format!("all sites agree at {:?}", states[0].map(|s| s.0)));
            }
            if Instant::now() >= until {
                let positions: Vec<_> = states.iter().map(|s| s.map(|s| s.0)).collect();
                let what = format!(
                    "progress: sites don't agree within {AGREEMENT_WITHIN:?}: {positions:?}"
                );
                return self.watch.report_broken(what);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Checks every journal completely, and all answers that clients received, once more.
    fn check_at_end(&self) {
        for site in &self.sites {
            let Some(life) = site.life() else { continue };
            self.watch.check_site(site.node, &life.journal, &life.state);
            let Some(applied) = life.state.position() else { continue };
            let mut inner = self.watch.lock_state();
            let held = inner.check_journal(site.node, &life.journal, applied);
            drop(inner);
            self.watch.report_if_broken(held);
        }
        let inner = self.watch.lock_state();
        let mut held = inner.acknowledged.check_at_end(&inner.journal).map_err(String::from);
        for asset in genesis().assets {
            let totals = inner.journal.model().totals(asset);
            let totals = Totals { position: inner.chain.len(), assets: vec![totals] };
            if let (Ok(()), Err(why)) = (&held, sums::check_totals(&totals)) {
                held = Err(format!("sums: the model: {why}"));
            }
        }
        if let Some(primary) = self.primary()
            && held.is_ok()
        {
            let wall = primary.clock.wall_micros();
            let reached = inner.time.reached_at_rest(Instant::now());
            held = upkeep::check_at_rest(inner.journal.model(), wall.max(reached));
        }
        self.trace.log_line(&inner.journal.describe_counts());
        if inner.reads.unresolved() > 0 && held.is_ok() {
            held = Err("reads: an answer came from a position that no site applied".into());
        }
        drop(inner);
        self.watch.report_if_broken(held);
        let times: Vec<u64> = self.sites.iter().map(|site| site.clock.wall_micros()).collect();
        self.trace.event(6, &times, &[]);
        self.sites.iter().for_each(|site| kill(site, false));
    }
}
