//! The verbs and their flags, and the function for each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use evenkeel_testnet::{
    accept,
    cluster::{nodes, process, table, testnet::Testnet, up},
    output::print_progress,
    relay::{self, Cut, LinkConditions, Order, rules},
    scenarios::{demo, failover},
    simulation::simulate,
};
use rustix::process::Signal;

/// Three evenkeel sites on this machine: pangyo, sangam, busan
#[derive(Debug, Parser)]
#[command(name = "testnet.sh")]
pub(crate) struct Arguments {
    /// The repository, whose testnet/ holds the site files and the running testnet
    #[arg(long, global = true, hide = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
    /// The node's program, instead of the one next to this program
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    evenkeel: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the three sites; wait until one is primary and all are caught up
    Up {
        /// Delete all existing data first
        #[arg(long)]
        fresh: bool,
        /// Run without the relay, for speed; links can't be cut then
        #[arg(long)]
        direct: bool,
    },
    /// Stop all sites gracefully
    Down,
    /// Show the state of all sites
    Status,
    /// SIGKILL a site's node
    Kill(SiteArgument),
    /// Start a site's node; returns when its admin socket answers
    Start(SiteArgument),
    /// Stop a site's node gracefully
    Stop(SiteArgument),
    /// Pause a site's node (SIGSTOP)
    Pause(SiteArgument),
    /// Resume a paused node (SIGCONT)
    Resume(SiteArgument),
    /// Drop a site's peer traffic, in both directions or one
    Cut(CutArguments),
    /// Restore a site's peer traffic
    Heal(CutArguments),
    /// Set delay, loss, jitter and rate of all links
    Link(LinkFlags),
    /// Demonstrate the loss of a site, with measured RTO and RPO
    Demo {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Repeatedly kill the primary under load and measure the time to the next commit
    Failover {
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        rounds: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the seeded simulation: --seed N [--runs K], more with --help
    #[command(disable_help_flag = true)]
    Simulate {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run one acceptance row on real processes; wipes the testnet
    Accept {
        /// The row's name, such as main.a
        #[arg(required_unless_present = "list")]
        row: Option<String>,
        /// Print the names and titles of all rows instead
        #[arg(long, conflicts_with = "row")]
        list: bool,
    },
    #[command(hide = true)]
    Relay,
    #[command(hide = true)]
    Detach {
        program: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct SiteArgument {
    site: String,
}

#[derive(Debug, Args)]
struct CutArguments {
    site: String,
    /// Only the traffic to the site
    #[arg(long = "in")]
    incoming: bool,
    /// Only the traffic from the site
    #[arg(long = "out")]
    outgoing: bool,
}

#[derive(Debug, Args)]
struct LinkFlags {
    /// Round trip added between every two sites, milliseconds
    #[arg(long, value_name = "MS", required_unless_present = "rate", value_parser = clap::value_parser!(u64).range(..=rules::LINK_MS_MAX))]
    rtt: Option<u64>,
    /// Share of datagrams that are lost, up to four decimals
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parts_per_million)]
    loss: u32,
    /// Delay added one way, uniformly distributed from 0 to this, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=rules::LINK_MS_MAX))]
    jitter: u64,
    /// Bytes a second from each site to each other one; without it any number
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(rules::LINK_RATE_MIN..))]
    rate: Option<u64>,
}

/// Parses a percentage with up to four decimals into parts per million.
fn parts_per_million(text: &str) -> Result<u32, String> {
    let wrong = || "a percentage from 0 to 100 with up to four decimals".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 4 || !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<4}").parse().map_err(|_| wrong())?;
    let ppm = whole.checked_mul(10_000).and_then(|ppm| ppm.checked_add(part));
    ppm.filter(|ppm| *ppm <= rules::LOSS_PPM_MAX).ok_or_else(wrong)
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { root, evenkeel, verb } = arguments;
    if let Verb::Detach { program, arguments } = &verb {
        return Err(process::detach(program, arguments).into());
    }
    if let Verb::Simulate { arguments } = &verb {
        return simulate::become_simulation(&root, arguments);
    }
    let testnet = Testnet::open(&root, evenkeel)?;
    match verb {
        Verb::Up { fresh, direct } => up::up_and_print(&testnet, fresh, direct).await,
        Verb::Down => up::down(&testnet).await,
        Verb::Status => table::print(&testnet).await,
        Verb::Kill(at) => nodes::kill(&testnet, testnet.site(&at.site)?).await,
        Verb::Start(at) => start(&testnet, &at.site).await,
        Verb::Stop(at) => nodes::stop(&testnet, testnet.site(&at.site)?).await,
        Verb::Pause(at) => signal(&testnet, &at.site, Signal::STOP),
        Verb::Resume(at) => signal(&testnet, &at.site, Signal::CONT),
        Verb::Cut(flags) => order(&testnet, |node, cut| Order::Cut { node, cut }, &flags),
        Verb::Heal(flags) => order(&testnet, |node, cut| Order::Heal { node, cut }, &flags),
        Verb::Link(LinkFlags { rtt, loss, jitter, rate }) => {
            let rtt_ms = rtt.unwrap_or(0);
            let link = LinkConditions { rtt_ms, jitter_ms: jitter, loss_ppm: loss, rate };
            testnet.relay_control()?.order(Order::Link(link))?;
            Ok(())
        }
        Verb::Demo { json } => demo::run_and_print(&testnet, json).await,
        Verb::Failover { rounds, json } => {
            failover::run_and_print(&testnet, rounds.into(), json).await
        }
        Verb::Accept { list: true, .. } => {
            accept::print_rows();
            Ok(())
        }
        Verb::Accept { row, .. } => accept::run(&testnet, &row.unwrap_or_default()).await,
        Verb::Relay => {
            let socket = testnet.relay_folder().join("control.sock");
            let seed = std::process::id().into();
            Ok(relay::run(&nodes::route_plans(&testnet), &socket, seed)?)
        }
        Verb::Detach { .. } | Verb::Simulate { .. } => Ok(()),
    }
}

async fn start(testnet: &Testnet, site: &str) -> anyhow::Result<()> {
    let site = testnet.site(site)?;
    if testnet.node_process(site).is_some() {
        print_progress(&format!("{} is already running", site.name));
    }
    nodes::start(testnet, site).await
}

fn signal(testnet: &Testnet, site: &str, signal: Signal) -> anyhow::Result<()> {
    Ok(testnet.demand_process(testnet.site(site)?)?.signal(signal)?)
}

fn order(
    testnet: &Testnet,
    make: impl FnOnce(u64, Cut) -> Order,
    flags: &CutArguments,
) -> anyhow::Result<()> {
    let site = testnet.site(&flags.site)?;
    let cut = Cut::from_flags(flags.incoming, flags.outgoing);
    testnet.relay_control()?.order(make(site.node, cut))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn percentages_become_parts_per_million() {
        for (text, ppm) in
            [("0", 0), ("0.1", 1_000), ("1", 10_000), ("12.3456", 123_456), ("100", 1_000_000)]
        {
            assert_eq!(parts_per_million(text), Ok(ppm), "{text}");
        }
        for text in ["", ".5", "100.1", "-1", "1e2", "0.12345", "5%", "99999999999"] {
            assert!(parts_per_million(text).is_err(), "{text}");
        }
    }
}
