//! The program `evenkeel`: one binary for nodes, operators and people. A verb is a file. Data goes to stdout, everything else to stderr; `--json` wherever data is printed.
//!
//! Exit codes are in [`Exit`]. Errors are one line: what is wrong, by name, and what to do next.

mod admin;
mod bench;
mod cluster;
mod config_check;
mod door;
mod exit;
mod output;
mod run;
mod verdict;
mod verify;
mod version;
mod wallet;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

#[derive(Debug, Parser)]
#[command(
    name = "evenkeel",
    about = "A replicated wallet ledger: three sites, one truth",
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a cluster's files, or a certificate for one of its nodes
    Cluster(cluster::Args),
    /// Run one node, in the foreground
    Run(run::Args),
    /// Look at a node's configuration without starting it
    #[command(subcommand)]
    Config(config_check::Verb),
    /// Ask a running node, or tell it, over its admin socket
    Admin(admin::Args),
    /// Open accounts, move money, look
    Wallet(wallet::Args),
    /// Drive a running cluster, measure it, and check its balances
    Bench(bench::Args),
    /// Check a data folder: the chain, and the balances against it
    Verify(verify::Args),
    /// Say which version this is
    Version(version::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Cluster(args) => cluster::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Config(verb) => config_check::run(&verb),
        Verb::Admin(args) => admin::run(&args),
        Verb::Wallet(args) => wallet::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Version(args) => version::run(&args),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output::complain(&failure.text);
            failure.exit.into()
        }
    }
}
