//! `evenkeel cluster`: the files of a new cluster, and certificates for its nodes. Nothing here talks to anybody.

mod authority;
mod cert;
mod files;
mod new_cluster;
mod site;

use clap::Subcommand;

use crate::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the files of a new cluster: one folder for each site, the CA, the operator's key, client.toml
    New(new_cluster::Args),
    /// Make a certificate for a node: one that joins, or one whose certificate runs out
    Cert(cert::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.verb {
        Verb::New(args) => new_cluster::run(args),
        Verb::Cert(args) => cert::run(args),
    }
}
