//! The whole cluster as one seeded program: journal, engine, batcher, road, ledger, recovery and keeper as in production, over a
//! simulated network, disk and clock. The same seed gives the same run, byte for byte.
//!
//! ```text
//! runner ─▶ world ─▶ sites ─▶ lives (production code)      plan ─▶ faults
//!              └───▶ clients            │ network, disk, clock
//!                       └────▶ watch ◀──┘ ─▶ invariants/*
//! ```
//! Needs a build with `RUSTFLAGS="--cfg evenkeel_simulation --cfg tokio_unstable"`: `scripts/testnet.sh simulate` makes it.
//! Not simulated: QUIC, threads, sled. They are tested with real processes.

pub mod checks;
pub mod faults;
pub mod output;
#[cfg(evenkeel_simulation)]
pub mod panics;
#[cfg(evenkeel_simulation)]
pub mod random;
#[cfg(evenkeel_simulation)]
pub mod runner;
pub mod simulate;
#[cfg(all(test, evenkeel_simulation))]
mod tests;
#[cfg(evenkeel_simulation)]
pub mod world;

use std::process::ExitCode;

/// What to simulate.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds, counting up from the first.
    #[arg(long, default_value_t = 1)]
    pub runs: u64,
    /// A case with a script of its own instead of the swarm: 1 2 3 6 7 9 10 11 20 22 24 30 32.
    #[arg(long)]
    pub case: Option<u32>,
    /// Run every seed twice and demand the same trace.
    #[arg(long)]
    pub twice: bool,
    /// Tell the story of every run.
    #[arg(long)]
    pub story: bool,
    /// How many seeds at a time; all cores without it.
    #[arg(long)]
    pub jobs: Option<usize>,
}

/// Simulates. 0: every promise held; 1: one was broken, and the last lines say which and how to see it again.
#[cfg(evenkeel_simulation)]
pub fn run(args: &SimulateArgs) -> ExitCode {
    runner::run(args)
}

/// This build can't: says which one can.
#[cfg(not(evenkeel_simulation))]
pub fn run(_args: &SimulateArgs) -> ExitCode {
    output::print_line(
        "this build has no simulation: run `scripts/testnet.sh simulate`, or build with \
         RUSTFLAGS=\"--cfg evenkeel_simulation --cfg tokio_unstable\"",
    );
    ExitCode::from(2)
}
