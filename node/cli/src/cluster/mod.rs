//! `evenkeel cluster`: the files of a new cluster, and certificates for its nodes. It never uses
//! the network.

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
    /// Create the files of a new cluster: one folder per site, the CA, the operator's key,
    /// client.toml
    New(new_cluster::NewClusterArgs),
    /// Issue a certificate for a joining node, or for one whose certificate expires
    Cert(cert::CertArgs),
}

pub(crate) fn run(args: &ClusterArgs) -> Result<(), Failure> {
    match &args.verb {
        ClusterVerb::New(args) => new_cluster::run(args),
        ClusterVerb::Cert(args) => cert::run(args),
    }
}
