//! Only in the simulation: each task has a seed, and the engine draws its random numbers from it.

use openraft_rt::deterministic_rng::DeterministicRng;

/// Runs a task, and everything that the engine spawns in it, with random numbers from this seed.
pub fn seeded<F: Future>(seed: u64, task: F) -> impl Future<Output = F::Output> {
    DeterministicRng::<openraft::impls::TokioRuntime>::scope(seed, task)
}
