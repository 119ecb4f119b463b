//! `simulate`: the seeded simulation alone.

use std::process::ExitCode;

use clap::Parser;
use evenkeel_testnet::simulation;

#[derive(Parser)]
#[command(name = "simulate", about = "Three sites as one seeded simulation")]
struct Line {
    #[command(flatten)]
    args: simulation::Args,
}

fn main() -> ExitCode {
    simulation::run(&Line::parse().args)
}
