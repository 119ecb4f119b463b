//! `evenkeel cluster`: the files of a new cluster, and certificates for its nodes. Nothing here talks to anybody.

mod authority;
mod cert;
mod files;
mod found;
mod site;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the files of a new cluster: one folder for each site, the CA, the operator's key, client.toml
    New(found::Args),
    /// Make a certificate for a node: one that joins, or one whose certificate runs out
    Cert(cert::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::New(args) => found::run(args),
        Verb::Cert(args) => cert::run(args),
    }
}
