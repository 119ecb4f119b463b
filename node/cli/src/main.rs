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
    verb: CliVerb,
}

#[derive(Debug, Subcommand)]
enum CliVerb {
    /// Make a cluster's files, or a certificate for one of its nodes
    Cluster(cluster::ClusterArgs),
    /// Run one node, in the foreground
    Run(run::RunArgs),
    /// Look at a node's configuration without starting it
    #[command(subcommand)]
    Config(config_check::ConfigVerb),
    /// Ask a running node, or tell it, over its admin socket
    Admin(admin::AdminArgs),
    /// Open accounts, move money, look
    Wallet(wallet::WalletArgs),
    /// Drive a running cluster, measure it, and check its balances
    Bench(bench::BenchArgs),
    /// Check a data folder: the chain, and the balances against it
    Verify(verify::VerifyArgs),
    /// Say which version this is
    Version(version::VersionArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        CliVerb::Cluster(args) => cluster::run(&args),
        CliVerb::Run(args) => run::run(&args),
        CliVerb::Config(verb) => config_check::run(&verb),
        CliVerb::Admin(args) => admin::run(&args),
        CliVerb::Wallet(args) => wallet::run(&args),
        CliVerb::Bench(args) => bench::run(&args),
        CliVerb::Verify(args) => verify::run(&args),
        CliVerb::Version(args) => version::run(&args),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            output::print_error(&failure.text);
            failure.exit.into()
        }
    }
}
