//! Every case for a few seeds, the swarm for a few more, and one run twice.

use super::{faults::plan::CASES, runner::simulate};

fn holds(seed: u64, case: Option<u32>) {
    let verdict = simulate(seed, case, false);
    if let Some(broken) = verdict.broken {
        let story = verdict.story.join("\n");
        panic!("{story}\nseed {seed}, case {case:?}: {broken}");
    }
    assert!(verdict.simulated.as_secs() >= 60, "seed {seed} lasted {:?}", verdict.simulated);
    assert!(verdict.tally.commands >= 500, "seed {seed}: {} commands", verdict.tally.commands);
    assert!(verdict.faults >= 3, "seed {seed}: {} faults", verdict.faults);
}

#[test]
fn every_case_holds() {
    for case in CASES {
        for seed in 1..=3 {
            holds(seed, Some(case));
        }
    }
}

#[test]
fn the_swarm_holds() {
    for seed in 1_000..1_010 {
        holds(seed, None);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [7, 8] {
        let (one, two) = (simulate(seed, None, false), simulate(seed, None, false));
        assert_eq!((one.trace, one.events), (two.trace, two.events), "seed {seed}");
    }
    assert_ne!(simulate(7, None, false).trace, simulate(8, None, false).trace);
}
