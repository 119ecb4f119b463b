//! Only in the simulation: the engine draws its random numbers from a seed that belongs to the task.

use openraft_rt::deterministic_rng::DeterministicRng;

/// Runs a task, and all that the engine spawns inside it, on random numbers from this seed.
pub fn seeded<F: Future>(seed: u64, task: F) -> impl Future<Output = F::Output> {
    DeterministicRng::<openraft::impls::TokioRuntime>::scope(seed, task)
}
