//! The faults of a run and their times: random from the seed, or fixed for a case.

use std::time::Duration;

use evenkeel_storage::disk::DiskTrouble;

use super::{
    clock_fault::{ClockFault, DRIFT, FoundingClocks, HOURS},
    fault::{CutDirection, Fault, FaultTarget},
};
use crate::simulation::{random::Random, world::workload::Habits};

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    pub habits: Habits,
    pub segment_bytes: u64,
    /// The idle timeout of connections. QUIC's idle timeout by itself ends a one-way cut; with a
    /// long timeout only the mute gate can.
    pub idle: Duration,
    /// Offsets of the three clocks, in milliseconds.
    pub clocks: [i64; 3],
    /// Errors of the clocks at first, beside those offsets.
    pub founding: Option<FoundingClocks>,
    /// Kills of all three sites shortly after their start: milliseconds after the start, and
    /// whether it's a power loss.
    pub early_kills: Vec<(u64, bool)>,
    /// The steps, each with the pause before it in milliseconds; a step ends before the next pause.
    pub acts: Vec<(u64, PlanStep)>,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub enum PlanStep {
    /// One fault.
    One(Fault),
    /// Several concurrent faults, each with its own duration.
    Together(Vec<Fault>),
    /// An observation that a case requires by now.
    Expect(Expectation),
}

/// What a case must have observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// While the cut lasts, a site other than the isolated one decides commands.
    NewPrimary { who: FaultTarget, way: CutDirection },
    /// A follower is isolated and returns; the primary and its term haven't changed.
    SamePrimary { isolated: u64 },
    /// A site truncated records.
    Truncated,
    /// A site applied entries that its own disk didn't hold.
    AppliedAheadOfDisk,
    /// Clients received replayed answers, and refusals of reused ids.
    RepliesAgain,
    /// A primary with a hung disk is replaced in time, and stops by itself.
    RelievedOfHungDisk,
    /// No copy is empty or half-filled any more.
    Filled,
    /// The primary's clock becomes wrong: every site says so, and another site leads.
    ClockRelieved(ClockFault),
    /// All clocks are set back, or were ahead: time goes on, holds expire, and the ledger's time is
    /// reported to be ahead.
    TimeGoesOn { millis: i64 },
    /// Two disks are lost at once: the cluster stands still, and goes on when one of them is back.
    StandsStillWithoutTwoDisks,
    /// A rolled-back follower and a site that lags decide nothing without the lost primary.
    NothingAfterARollback,
    /// Neither a deposed primary behind a cut, nor an empty copy that has lost its vote for the
    /// successor, decides anything.
    NothingBehindACut,
}

/// The cases with their own plan (`simulate --case N` runs one; 1 and 20 are plain seeds).
pub const CASES: [u32; 18] = [1, 2, 3, 6, 7, 9, 10, 11, 20, 22, 24, 30, 32, 33, 34, 40, 41, 42];

impl RunPlan {
    /// The swarm's plan: any faults, at any time.
    #[must_use]
    pub fn swarm(seed: u64) -> Self {
        let mut random = Random::for_purpose(seed, 10);
        let count = random.between(3, 9);
        let mut plan = Self::basis(&mut random);
        if random.chance(20) {
            plan.killed_young(&mut random, 2);
        }
        if random.chance(15) {
            plan.founding = Some(FoundingClocks::random(&mut random));
        }
        for _ in 0..count {
            let calm = random.between(200, 6_000);
            let act = if random.chance(25) {
                PlanStep::Together(vec![random_fault(&mut random), random_fault(&mut random)])
            } else {
                PlanStep::One(random_fault(&mut random))
            };
            plan.acts.push((calm, act));
        }
        plan
    }

    fn basis(random: &mut Random) -> Self {
        let skew = |random: &mut Random| {
            let range = i64::try_from(random.between(1, 900)).expect("small");
            i64::try_from(random.next_u64() % 2_000).expect("small") % (2 * range) - range
        };
        Self {
            habits: if random.chance(30) { Habits::INSISTENT } else { Habits::USUAL },
            segment_bytes: *random.pick(&[8 << 10, 16 << 10, 64 << 10, 1 << 20]),
            idle: Duration::from_secs(*random.pick(&[2, 2, 2, 30])),
            clocks: [skew(random), skew(random), skew(random)],
            founding: None,
            early_kills: Vec::new(),
            acts: Vec::new(),
        }
    }

    /// The plan of a case, or `None` for an unknown number.
    #[must_use]
    pub fn case(number: u32, seed: u64) -> Option<Self> {
        let mut random = Random::for_purpose(seed, 11);
        let mut plan = Self::basis(&mut random);
        match number {
            1 | 20 => return Some(Self::swarm(seed)),
            2 | 3 => {
                let way = if number == 2 { CutDirection::In } else { CutDirection::Out };
                plan.idle = Duration::from_secs(if seed.is_multiple_of(2) { 2 } else { 30 });
                plan.expect_three(Expectation::NewPrimary { who: FaultTarget::Primary, way });
            }
            6 => {
                for isolated in [3_000, 9_000, 15_000] {
                    plan.acts
                        .push((2_000, PlanStep::Expect(Expectation::SamePrimary { isolated })));
                }
            }
            7 => plan.conflicting_tails(&mut random),
            9 => plan.applied_elsewhere(&mut random),
            10 => plan.between_vote_and_append(&mut random),
            11 => plan.late_syncs(&mut random),
            22 => plan.failovers_under_retries(&mut random),
            24 => plan.killed_young(&mut random, 8),
            30 => plan.expect_three(Expectation::RelievedOfHungDisk),
            32 => plan.lost_disks(&mut random),
            33 => plan.expect_three(Expectation::StandsStillWithoutTwoDisks),
            34 => plan.expect_three(Expectation::NothingAfterARollback),
            40 => plan.wrong_clocks(),
            41 => plan.all_clocks(),
            42 => plan.founding_clocks(seed),
            _ => return None,
        }
        Some(plan)
    }

    fn expect_three(&mut self, expect: Expectation) {
        for calm in [3_000, 5_000, 4_000] {
            self.acts.push((calm, PlanStep::Expect(expect)));
        }
    }

    /// All sites are killed repeatedly before any command could be answered: around the first
    /// election, which can't start until an empty copy has been silent for 600 ms.
    fn killed_young(&mut self, random: &mut Random, times: u64) {
        for _ in 0..times {
            let after = if random.chance(80) {
                random.between(600, 1_100)
            } else {
                random.between(0, 3_000)
            };
            self.early_kills.push((after, random.chance(50)));
        }
        for _ in 0..3 {
            let power = random.chance(50);
            self.acts.push((2_000, PlanStep::One(Fault::KillAll { power, down: 100 })));
        }
    }

    fn lost_disks(&mut self, random: &mut Random) {
        for _ in 0..3 {
            let who = *random.pick(&[
                FaultTarget::Primary,
                FaultTarget::Follower(0),
                FaultTarget::Follower(1),
            ]);
            let down = random.between(20, 3_000);
            self.acts.push((3_000, PlanStep::One(Fault::LostDisk { who, down })));
            self.acts.push((2_500, PlanStep::Expect(Expectation::Filled)));
        }
        self.acts.push((1_000, PlanStep::Expect(Expectation::NothingBehindACut)));
        self.acts.push((3_000, PlanStep::Expect(Expectation::Filled)));
    }

    /// A primary hands over because of its clock once a minute at most, so the wrong clocks are
    /// further apart.
    fn wrong_clocks(&mut self) {
        let (who, lasts) = (FaultTarget::Primary, 20_000);
        let faults = [
            ClockFault::Step { who, millis: -HOURS, lasts },
            ClockFault::Step { who, millis: HOURS, lasts },
            ClockFault::Rate { who, percent: DRIFT, lasts },
        ];
        for fault in faults {
            self.acts.push((5_000, PlanStep::Expect(Expectation::ClockRelieved(fault))));
            self.acts.push((40_000, PlanStep::One(Fault::HandOver { to: 0 })));
        }
    }

    fn all_clocks(&mut self) {
        for millis in [-HOURS, HOURS, -50_000] {
            self.acts.push((3_000, PlanStep::Expect(Expectation::TimeGoesOn { millis })));
        }
    }

    /// While all clocks differ, nothing is founded; one that is wrong alone doesn't count.
    fn founding_clocks(&mut self, seed: u64) {
        let year = 365 * 12 * HOURS;
        let errors = [[year, 0, -HOURS], [0, year, 0], [HOURS, HOURS, HOURS]];
        let errors = errors[usize::try_from(seed % 3).expect("small")];
        self.founding = Some(FoundingClocks { errors, last: 9_000 });
        for _ in 0..3 {
            let kill = Fault::Kill { who: FaultTarget::Primary, power: true, down: 1_000 };
            self.acts.push((3_000, PlanStep::One(kill)));
        }
    }

    fn conflicting_tails(&mut self, random: &mut Random) {
        for _ in 0..3 {
            let lasts = random.between(2_000, 5_000);
            let cut = Fault::Cut {
                who: FaultTarget::Primary,
                way: *random.pick(&[CutDirection::Both, CutDirection::In, CutDirection::Out]),
                lasts,
            };
            self.acts.push((3_000, PlanStep::One(cut)));
        }
        let cut = Fault::Cut { who: FaultTarget::Primary, way: CutDirection::Both, lasts: 4_000 };
        self.acts.push((3_000, PlanStep::One(cut)));
        let power = Fault::KillAll { power: true, down: 500 };
        self.acts.push((1_000, PlanStep::One(power)));
        self.acts.push((3_000, PlanStep::Expect(Expectation::Truncated)));
    }

    fn applied_elsewhere(&mut self, random: &mut Random) {
        self.segment_bytes = 8 << 10;
        for _ in 0..3 {
            let lasts = random.between(500, 6_000);
            let hung = Fault::HungDisk { who: FaultTarget::Primary, lasts, then_power_loss: true };
            self.acts.push((4_000, PlanStep::One(hung)));
        }
        self.acts.push((1_000, PlanStep::Expect(Expectation::AppliedAheadOfDisk)));
    }

    fn between_vote_and_append(&mut self, random: &mut Random) {
        for operations in 0..10 {
            let who = *random.pick(&[
                FaultTarget::Primary,
                FaultTarget::Follower(0),
                FaultTarget::Follower(1),
            ]);
            let (power, down) = (random.chance(70), random.between(50, 1_500));
            let die = Fault::DieAt { who, operations, at_vote: true, power, down };
            self.acts.push((random.between(500, 2_500), PlanStep::One(die)));
        }
    }

    fn late_syncs(&mut self, random: &mut Random) {
        let slow = |random: &mut Random, who| Fault::SlowDisk {
            who,
            millis: random.between(20, 400),
            lasts: random.between(3_000, 8_000),
        };
        for _ in 0..3 {
            let all = [FaultTarget::Primary, FaultTarget::Follower(0), FaultTarget::Follower(1)]
                .map(|who| slow(random, who));
            self.acts.push((2_000, PlanStep::Together(all.to_vec())));
            let hung = Fault::HungDisk {
                who: *random.pick(&[FaultTarget::Primary, FaultTarget::Follower(0)]),
                lasts: random.between(1_000, 5_000),
                then_power_loss: random.chance(50),
            };
            self.acts.push((2_000, PlanStep::One(hung)));
        }
    }

    fn failovers_under_retries(&mut self, random: &mut Random) {
        self.habits = Habits::INSISTENT;
        self.segment_bytes = 8 << 10;
        for _ in 0..6 {
            let (power, down) = (random.chance(50), random.between(100, 3_000));
            let kill = Fault::Kill { who: FaultTarget::Primary, power, down };
            self.acts.push((random.between(2_000, 5_000), PlanStep::One(kill)));
        }
        let power = Fault::KillAll { power: true, down: 400 };
        self.acts.push((2_000, PlanStep::One(power)));
        self.acts.push((3_000, PlanStep::Expect(Expectation::RepliesAgain)));
    }
}

fn random_target(random: &mut Random) -> FaultTarget {
    match random.below(5) {
        0..3 => FaultTarget::Primary,
        3 => FaultTarget::Follower(0),
        _ => FaultTarget::Follower(1),
    }
}

fn random_fault(random: &mut Random) -> Fault {
    let (who, lasts) = (random_target(random), random.between(100, 7_000));
    let power = random.chance(50);
    let down = random.between(0, 5_000);
    match random.below(22) {
        0 | 1 => Fault::Kill { who, power, down },
        2 => Fault::KillAll { power, down },
        3 => Fault::DieAt { who, operations: random.below(40), at_vote: false, power, down },
        4 => Fault::DieAt { who, operations: random.below(12), at_vote: true, power, down },
        5 | 6 => Fault::Cut { who, way: CutDirection::Both, lasts },
        7 => Fault::Cut { who, way: CutDirection::In, lasts },
        8 => Fault::Cut { who, way: CutDirection::Out, lasts },
        9 => Fault::Bridge { who, lasts },
        10 => Fault::Shatter { lasts },
        11 => Fault::SlowDisk { who, millis: random.between(5, 800), lasts },
        12 => Fault::HungDisk { who, lasts, then_power_loss: power },
        13 => Fault::Storm {
            loss: random.between(1, 25),
            delay: random.between(1_000, 40_000),
            lasts,
        },
        14 => Fault::LostDisk { who, down },
        15 => Fault::RolledBack { who, age: random.between(200, 6_000), down },
        16 => match random.below(3) {
            0 => Fault::Reset { who },
            1 => Fault::HandOver { to: 0 },
            _ => Fault::HandOver { to: 1 },
        },
        17 => {
            let trouble = DiskTrouble { few_descriptors: true, ..DiskTrouble::default() };
            Fault::Trouble { who, trouble, lasts }
        }
        18 => {
            let trouble = DiskTrouble { full: true, ..DiskTrouble::default() };
            Fault::Trouble { who, trouble, lasts }
        }
        19 => {
            let trouble =
                DiskTrouble { unwritable: power, unreadable: !power, ..DiskTrouble::default() };
            Fault::Trouble { who, trouble, lasts: lasts / 4 }
        }
        _ => Fault::Clock(ClockFault::random(random, who, lasts)),
    }
}
