//! `evenkeel verify`: checks that a data folder (of a stopped node, or a copy) holds exactly the
//! bytes that were written.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::{Exit, Failure, output, verdict};
use evenkeel_node::replay::{
    comparison::{UnsharedRecord, compare_journals},
    verify,
};

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Another node's data folder (stopped, or a copy): lists the records that only one of the two
    /// has, instead of rebuilding the balances
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    if let Some(other) = &args.against {
        return compare(&args.path, other, args.json);
    }
    let report = verify::verify_offline(&args.path).map_err(Failure::failed)?;
    if args.json {
        output::print_json(&report)?;
    }
    verdict::report_verdict(&report, args.json)
}

/// Exit code 5: each has records that the other hasn't.
fn compare(here: &Path, there: &Path, json: bool) -> Result<(), Failure> {
    let found = compare_journals(here, there).map_err(Failure::failed)?;
    if json {
        output::print_json(&found)?;
    } else {
        let common = output::cell(found.common);
        let mut text = format!("the same up to position {common}");
        list_records(&mut text, here, &found.only_here);
        list_records(&mut text, there, &found.only_there);
        output::print(&text)?;
    }
    if !found.differs() {
        return Ok(());
    }
    let what = "two histories: each folder has records that the other hasn't; see OPERATIONS";
    Err(Failure::new(Exit::Damaged, what))
}

fn list_records(text: &mut String, folder: &Path, records: &[UnsharedRecord]) {
    let count = records.len();
    write!(text, "\n{} alone has {count} records", folder.display()).expect("writing to memory");
    for UnsharedRecord { position, term, commands, .. } in records {
        let ids = if commands.is_empty() { "no commands".to_owned() } else { commands.join(" ") };
        write!(text, "\n  position {position} term {term}: {ids}").expect("writing to memory");
    }
}
