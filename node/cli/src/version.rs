//! `evenkeel version`: prints the versions of the program, the ledger's rules and the wire frames.

use evenkeel_wire::version::{FRAME_VERSION, RULES_VERSION};
use serde_json::json;

use crate::{Failure, output};

#[derive(Debug, clap::Args)]
pub(crate) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &VersionArgs) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        return output::print_json(&json!({
            "version": version,
            "rules_version": RULES_VERSION,
            "frame_version": FRAME_VERSION,
        }));
    }
    output::print(&format!(
        "evenkeel {version} (ledger rules {RULES_VERSION}, wire frames {FRAME_VERSION})"
    ))
}
