//! Row pages: runs the shell blocks of README's "What to try" and of docs/API.md unchanged, from
//! top to bottom. A reader who copies them must get the results that the pages describe.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, ensure};

use crate::accept::{sheet::ResultSheet, stage};
use crate::cluster::{testnet::Testnet, up};

const PATIENCE: Duration = Duration::from_secs(300);

/// A page's blocks and their expected results.
struct Page {
    file: &'static str,
    /// The headings between which the blocks are.
    from: &'static str,
    to: &'static str,
    /// The nonzero exit codes of the commands, in order.
    exits: &'static [i32],
    /// The codes of all problems in the output.
    codes: &'static [&'static str],
}

const README: Page = Page {
    file: "README.md",
    from: "## What to try",
    to: "## Where things are",
    exits: &[3, 3],
    codes: &[],
};

const API: Page = Page {
    file: "docs/API.md",
    from: "## ",
    to: "## Asking again",
    // The dead site refuses the connection.
    exits: &[7],
    codes: &[
        "account_frozen",
        "batch_failed",
        "forbidden",
        "hold_not_open",
        "id_reused",
        "insufficient_funds",
        "malformed",
        "per_transfer_limit_exceeded",
        "refund_exceeds_payment",
    ],
};

pub(crate) async fn check_page_blocks(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    for page in [API, README] {
        up::up(testnet, true, false).await?;
        let text = fs::read_to_string(testnet.root().join(page.file)).context(page.file)?;
        let blocks = blocks(&text, &page)?;
        sheet.at_least(&format!("{}: blocks", page.file), blocks.len(), 6, "");
        let told = run(testnet, &blocks).await?;
        let failed: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("!! ")).collect();
        let exits: Vec<i32> = failed.iter().filter_map(|line| exit_of(line)).collect();
        sheet.record_claim(
            format!("{}: commands that failed: {}", page.file, failed.join("; ")),
            exits == page.exits,
        );
        let codes = codes_of(&told);
        let expected = page.codes.iter().copied().collect();
        sheet.record_claim(
            format!("{}: problems in the output: {codes:?}", page.file),
            codes == expected,
        );
    }
    Ok(())
}

fn blocks<'a>(text: &'a str, page: &Page) -> anyhow::Result<Vec<&'a str>> {
    let begin = text.find(page.from).context(page.from)?;
    let end = begin + text[begin..].find(page.to).context(page.to)?;
    let fenced = text[begin..end].split("```sh\n").skip(1);
    fenced.map(|rest| rest.split("```").next().context("a block doesn't end")).collect()
}

/// Runs the blocks; returns their output, with a line for each command that fails.
async fn run(testnet: &Testnet, blocks: &[&str]) -> anyhow::Result<String> {
    let root = stage::path_text(testnet.root())?;
    let head = format!("exec 2>&1\ncd '{root}'\ntrap 'echo \"!! $? $BASH_COMMAND\"' ERR\n");
    let script = format!("{head}{}", blocks.join("\n"));
    let output = stage::run_within(Path::new("bash"), &["-c", &script], PATIENCE).await?;
    ensure!(output.status.code().is_some(), "the blocks never end");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn exit_of(line: &str) -> Option<i32> {
    line.split(' ').next()?.parse().ok()
}

/// The codes of problems; events have codes, too, but no titles.
fn codes_of(told: &str) -> BTreeSet<&str> {
    let problems = told.split("\"title\":").skip(1);
    problems.filter_map(|problem| problem.split("\"code\":\"").nth(1)?.split('"').next()).collect()
}
