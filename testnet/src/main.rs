//! `testnet`: runs three sites on this machine and injects faults. Started through
//! `scripts/testnet.sh`.

mod arguments;

use std::process::ExitCode;

use clap::Parser;
use evenkeel_testnet::cluster::testnet::UsageError;
use evenkeel_testnet::output;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(arguments::run(arguments)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_progress(&format!("testnet: {error:#}"));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
