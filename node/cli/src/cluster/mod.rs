//! `evenkeel cluster`: the files of a new cluster, and certificates for its nodes. Nothing here talks to anybody.

mod authority;
mod cert;
mod files;
mod new_cluster;
mod site;

use clap::Subcommand;

use crate::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    verb: ClusterVerb,
}

#[derive(Debug, Subcommand)]
enum ClusterVerb {
    /// Make the files of a new cluster: one folder for each site, the CA, the operator's key, client.toml
    New(new_cluster::NewClusterArgs),
    /// Make a certificate for a node: one that joins, or one whose certificate runs out
    Cert(cert::CertArgs),
}

pub(crate) fn run(args: &ClusterArgs) -> Result<(), Failure> {
    match &args.verb {
        ClusterVerb::New(args) => new_cluster::run(args),
        ClusterVerb::Cert(args) => cert::run(args),
    }
}
