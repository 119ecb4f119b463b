//! The program `evenkeel`: one binary for nodes, operators and people. Data goes to stdout,
//! everything else to stderr; verbs that print data take `--json`. Exit codes are in [`Exit`]; an
//! error is one line that names the problem and the next step.
//!
//! | module | holds |
//! |---|---|
//! | `run` `config_check` | one node in the foreground; its configuration |
//! | `cluster/` | the files and certificates of a new cluster |
//! | `admin/` | requests to a node's admin socket |
//! | `wallet/` | accounts and transfers, for people |
//! | `bench/` | load, measurement, and the check of the balances |
//! | `verify` `verdict` | offline verification; the report of both kinds |
//! | `door/` | client.toml and the two client doors, QUIC and HTTP |
//! | `output` `exit` `panics` `version` | printing, exit codes, the end by a panic, the version |
//!
//! A verb is a file or a folder. The verbs never contain ledger rules: they send commands and show
//! answers.

mod admin;
mod bench;
mod cluster;
mod config_check;
mod door;
mod exit;
mod output;
mod panics;
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
    about = "A replicated wallet ledger: three sites, one journal",
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
    /// Create a cluster's files, or a certificate for one of its nodes
    Cluster(cluster::ClusterArgs),
    /// Run one node in the foreground
    Run(run::RunArgs),
    /// Check a node's configuration without starting it
    #[command(subcommand)]
    Config(config_check::ConfigVerb),
    /// Query or operate a running node over its admin socket
    Admin(admin::AdminArgs),
    /// Open accounts, move money, read balances
    Wallet(wallet::WalletArgs),
    /// Load a running cluster, measure it, and check its balances
    Bench(bench::BenchArgs),
    /// Verify a data folder: the journal's chain, and the balances rebuilt from it
    Verify(verify::VerifyArgs),
    /// Print the version
    Version(version::VersionArgs),
}

fn main() -> ExitCode {
    panics::end_process_on_panic();
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
