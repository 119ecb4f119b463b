//! The `simulate` verb. The simulation needs its own build (simulated time, all assertions), so it
//! is built in a separate target folder and replaces this process.

use std::{os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, bail};

use crate::output::print_progress;

/// The compiler flags of the simulation's build.
const FLAGS: &str = "--cfg evenkeel_simulation --cfg tokio_unstable";

/// Builds the simulation and execs it. Returns only on failure.
///
/// # Errors
/// When cargo is missing or the build fails.
pub fn become_simulation(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let target = root.join("target/simulation");
    let program = target.join("simulation/simulate");
    if !program.exists() {
        print_progress("building the simulation (the first build takes some minutes)");
    }
    let built = Command::new("cargo")
        .current_dir(root)
        .args(["build", "--quiet", "--locked", "--profile", "simulation", "-p", "evenkeel-testnet"])
        .args(["--bin", "simulate", "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", FLAGS)
        .status()
        .context("cargo can't be run: install a Rust toolchain (https://rustup.rs)")?;
    if !built.success() {
        bail!("the simulation wasn't built: see above");
    }
    Err(Command::new(&program).args(arguments).exec().into())
}
