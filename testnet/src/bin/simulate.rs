//! `simulate`: only the seeded simulation.

use std::process::ExitCode;

use clap::Parser;
use evenkeel_testnet::simulation;

#[derive(Parser)]
#[command(name = "simulate", about = "Three sites as one seeded simulation")]
struct CommandLine {
    #[command(flatten)]
    args: simulation::SimulateArgs,
}

fn main() -> ExitCode {
    simulation::run(&CommandLine::parse().args)
}
