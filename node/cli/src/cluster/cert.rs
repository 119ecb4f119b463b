//! `evenkeel cluster cert`: issues a certificate for one node from the CA's folder.

use std::path::PathBuf;

use serde_json::json;

use super::{
    authority::{Authority, CERTIFICATE_FILE, NodeIdentity},
    files::PendingFiles,
    site::Site,
};
use crate::{Failure, output};

pub(crate) const NODE_CERTIFICATE_FILE: &str = "node.pem";
pub(crate) const NODE_KEY_FILE: &str = "node.key";

#[derive(Debug, clap::Args)]
pub(crate) struct CertArgs {
    /// The folder with ca.pem and ca.key
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The node's site
    #[arg(long, value_name = "NAME=HOST:PORT")]
    site: Site,
    /// The node's number; never reuse a number for another node
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    node: u64,
    /// The folder to create, with ca.pem, node.pem and node.key
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &CertArgs) -> Result<(), Failure> {
    let authority = Authority::load(&args.ca)?;
    let identity = authority.issue(args.node, &args.site.name, &args.site.peer)?;
    let mut making = PendingFiles::default();
    making.create_folder(&args.out)?;
    write(&mut making, &args.out, &authority, &identity)?;
    making.commit()?;
    let certificate = args.out.join(NODE_CERTIFICATE_FILE);
    if args.json {
        return output::print_json(&json!({
            "cluster": authority.cluster.to_string(),
            "node": args.node,
            "site": args.site.name,
            "cert": certificate,
            "key": args.out.join(NODE_KEY_FILE),
            "ca": args.out.join(CERTIFICATE_FILE),
        }));
    }
    output::print(&format!(
        "certificate of node {} at {} for cluster {}: {}",
        args.node,
        args.site.name,
        authority.cluster,
        certificate.display()
    ))
}

/// The node's certificate and key, and the CA certificate it trusts.
pub(crate) fn write(
    making: &mut PendingFiles,
    folder: &std::path::Path,
    authority: &Authority,
    identity: &NodeIdentity,
) -> Result<(), Failure> {
    making.create_file(&folder.join(NODE_KEY_FILE), &identity.key)?;
    making.create_file(&folder.join(NODE_CERTIFICATE_FILE), &identity.certificate)?;
    making.create_file(&folder.join(CERTIFICATE_FILE), &authority.certificate)
}
