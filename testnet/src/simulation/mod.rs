//! The whole cluster as one seeded program: journal, engine, batcher, road, ledger, recovery and
//! keeper as in production, over a simulated network, disk and clock. The same seed gives the same
//! run, byte for byte.
//!
//! ```text
//! runner ─▶ world ─▶ sites ─▶ lives (production code)      plan ─▶ faults
//!              └───▶ clients            │ network, disk, clock
//!                       └────▶ watch ◀──┘ ─▶ invariants/*
//! ```
//! Needs a build with `RUSTFLAGS="--cfg evenkeel_simulation --cfg tokio_unstable"`, which
//! `scripts/testnet.sh simulate` makes. Not simulated: QUIC, threads, sled; these are tested with
//! real processes. Nothing in it waits for real time.

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

/// Options of a simulation.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many seeds, counting up from the first.
    #[arg(long, default_value_t = 1)]
    pub runs: u64,
    /// Run a case with its own plan instead of the swarm: 1 2 3 6 7 9 10 11 20 22 24 30 32 33 34.
    #[arg(long)]
    pub case: Option<u32>,
    /// Run every seed twice and compare the traces.
    #[arg(long)]
    pub twice: bool,
    /// Print the events of every run.
    #[arg(long)]
    pub story: bool,
    /// How many seeds run in parallel [default: all cores].
    #[arg(long)]
    pub jobs: Option<usize>,
}

/// Simulates. Exit code 0: all invariants hold; 1: one is broken, and the last lines name it and
/// the command that reproduces it.
#[cfg(evenkeel_simulation)]
pub fn run(args: &SimulateArgs) -> ExitCode {
    runner::run(args)
}

/// Without the simulation flags: prints how to build it.
#[cfg(not(evenkeel_simulation))]
pub fn run(_args: &SimulateArgs) -> ExitCode {
    output::print_line(
        "this build has no simulation: run `scripts/testnet.sh simulate`, or build with \
         RUSTFLAGS=\"--cfg evenkeel_simulation --cfg tokio_unstable\"",
    );
    ExitCode::from(2)
}
