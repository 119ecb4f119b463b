//! Runs many seeds, each on its own thread and runtime; reports them in order, and the first
//! failure last.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use evenkeel_node::replication::engine::seeded::seeded;
use tokio::runtime::{Builder, RngSeed};

use super::{
    SimulateArgs,
    faults::plan::{CASES, RunPlan},
    output, panics,
    random::Random,
    world::{self, RunVerdict},
};

/// The result of one seed.
struct SeedRun {
    seed: u64,
    verdict: RunVerdict,
}

pub(crate) fn run(args: &SimulateArgs) -> ExitCode {
    if let Some(case) = args.case
        && !CASES.contains(&case)
    {
        output::print_line(&format!("there is no case {case}; the cases are {CASES:?}"));
        return ExitCode::from(2);
    }
    panics::remember();
    let (runs, failed) = run_all(args);
    let count = runs.len();
    let rollbacks: u64 = runs.iter().map(|run| run.verdict.rollbacks).sum();
    let unremembered: u64 = runs.iter().map(|run| run.verdict.unremembered).sum();
    let Some(failed) = failed else {
        output::print_line(&format!(
            "{count} runs, all invariants held; {rollbacks} disks rolled back, {unremembered} left alone because \
             nobody remembered what they would forget"
        ));
        return ExitCode::SUCCESS;
    };
    if !args.story {
        failed.verdict.story.iter().for_each(|line| output::print_line(line));
    }
    let case = args.case.map(|case| format!(" --case {case}")).unwrap_or_default();
    let broken =
        failed.verdict.broken.as_deref().unwrap_or("the second run differs from the first");
    output::print_line(&format!("seed {}: {broken}", failed.seed));
    output::print_line(&format!(
        "reproduce with: scripts/testnet.sh simulate --seed {}{case} --story",
        failed.seed
    ));
    ExitCode::FAILURE
}

fn run_all(args: &SimulateArgs) -> (Vec<SeedRun>, Option<SeedRun>) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = if args.story { 1 } else { args.jobs.unwrap_or(cores).max(1) };
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= args.runs {
                        return;
                    }
                    let run = run_seed(args.seed + number, args);
                    output::print_line(&describe_run(&run));
                    if run.verdict.broken.is_some() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(run.seed, run);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (broken, held): (Vec<SeedRun>, Vec<SeedRun>) =
        done.into_values().partition(|run| run.verdict.broken.is_some());
    (held, broken.into_iter().next())
}

/// Runs one seed; twice with `--twice`.
fn run_seed(seed: u64, args: &SimulateArgs) -> SeedRun {
    let mut verdict = simulate(seed, args.case, args.story);
    let twice = args.twice || args.case == Some(20);
    if twice && verdict.broken.is_none() {
        let again = simulate(seed, args.case, false);
        if (&again.trace, again.events) != (&verdict.trace, verdict.events) {
            let differ = verdict.story.iter().zip(&again.story).find(|(one, two)| one != two);
            verdict.broken = Some(format!(
                "repeatable: trace {} of {} events, then {} of {}; first difference: {differ:?}",
                verdict.trace, verdict.events, again.trace, again.events
            ));
        }
    }
    SeedRun { seed, verdict }
}

fn describe_run(run: &SeedRun) -> String {
    let RunVerdict { trace, simulated, faults, terms, entries, tally, checked, broken, .. } =
        &run.verdict;
    format!(
        "seed {:<6} {}  trace {trace}  {:>3} s, {faults} faults, {terms} terms, {entries} entries, \
         {} commands ({} acknowledged, {} unknown, {} refused), {} reads, {checked} answers checked",
        run.seed,
        if broken.is_none() { "held  " } else { "BROKEN" },
        simulated.as_secs(),
        tally.commands,
        tally.acknowledged,
        tally.unknown,
        tally.refused,
        tally.reads,
    )
}

/// Runs one seed on this thread.
pub(crate) fn simulate(seed: u64, case: Option<u32>, aloud: bool) -> RunVerdict {
    let plan = case.map_or_else(
        || RunPlan::swarm(seed),
        |case| RunPlan::case(case, seed).expect("the case was checked"),
    );
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .rng_seed(RngSeed::from_bytes(&seed.to_le_bytes()))
        .build()
        .expect("a runtime without threads and sockets");
    let engine = Random::for_purpose(seed, 4).next_u64();
    runtime.block_on(seeded(engine, world::run(seed, plan, aloud)))
}
