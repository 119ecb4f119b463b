//! `evenkeel bench`: drives a running cluster, measures, and checks afterwards that every balance is what was acknowledged.
//!
//! It opens accounts of its own, so it may run against any cluster, again and again. A caller has one batch in flight;
//! callers share a few connections, as they would behind any real gateway.

mod accounts;
mod batch;
mod check;
mod figures;
mod load;
mod table;

use std::{sync::atomic::AtomicU64, thread};

use evenkeel_wire::{
    amount::Asset,
    client::{Client, ClientConfig, ClientOptions, raw::Connector},
    limits::{COMMANDS_MAX, REQUESTS_OUTSTANDING_MAX},
};
use tokio::time::{Duration, Instant};

use self::{accounts::Accounts, figures::Tally};
use super::{
    Exit, Failure,
    door::{ClientFile, block_on},
    output::note,
};

/// The most connections: each one costs the site more than the callers on it.
const CONNECTIONS_MAX: usize = 8;
/// How long a batch is asked for again before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ClientFile,
    /// Transfers to make
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    transfers: u64,
    /// Wallets to make them between
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// Transfers in one request, 1 to 8192
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8192))]
    batch: u32,
    /// Callers, each with one request in flight
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=32_768))]
    callers: u32,
    /// Connections that the callers share, 1 to 8 [default: 8, or as many as callers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    connections: Option<u32>,
    /// The asset that is moved
    #[arg(long, default_value = "KRW", value_parser = asset)]
    asset: Asset,
    /// As JSON
    #[arg(long)]
    json: bool,
}

const _: () = assert!(COMMANDS_MAX == 8_192, "the bound of --batch");

fn asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

/// What every connection needs to know.
struct Plan {
    config: ClientConfig,
    accounts: Accounts,
    batch: u32,
    transfers: u64,
    /// Transfers that somebody has taken on.
    issued: AtomicU64,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let callers = size(args.callers);
    let connections = args.connections.map_or(CONNECTIONS_MAX, size).min(callers);
    if callers.div_ceil(connections) > REQUESTS_OUTSTANDING_MAX {
        return Err(Failure::usage(format!(
            "{callers} callers on {connections} connections: at most {REQUESTS_OUTSTANDING_MAX} on each"
        )));
    }
    let config = args.file.load()?;
    block_on(refuse_volatile(&config))?;
    note(&format!("opening {} accounts", args.accounts));
    let accounts = block_on(Accounts::open(&patient(&config), size(args.accounts), args.asset))?;
    let plan = Plan {
        config,
        accounts,
        batch: args.batch,
        transfers: args.transfers,
        issued: AtomicU64::new(0),
    };

    note(&format!(
        "{} transfers in batches of {} by {callers} callers on {connections} connections",
        args.transfers, args.batch
    ));
    let started = Instant::now();
    let tally = drive(&plan, callers, connections)?;
    let took = started.elapsed();

    note("comparing balances");
    let checked = block_on(check::balances(&patient(&plan.config), &plan.accounts, &tally));
    figures::report(args, &tally, took)?;
    checked
}

fn patient(config: &ClientConfig) -> Client {
    let options = ClientOptions { connections: 1, deadline: PATIENCE, ..ClientOptions::default() };
    Client::connect(config.clone(), options)
}

fn size(number: u32) -> usize {
    usize::try_from(number).expect("a u32 fits in usize")
}

/// A node in memory acknowledges what no power cut would leave: its figures are worth nothing.
async fn refuse_volatile(config: &ClientConfig) -> Result<(), Failure> {
    let connector = Connector::new(config).map_err(Failure::failed)?;
    let greetings = config.sites.iter().map(|site| connector.connect(site));
    let mut reached = false;
    let mut trouble = String::from("client.toml names no site");
    for greeted in futures_util::future::join_all(greetings).await {
        match greeted {
            Ok(connection) if connection.welcome().volatile => {
                return Err(Failure::failed(format!(
                    "{} keeps its data in memory (tmpfs), so its figures mean nothing: put node.data on a disk",
                    connection.welcome().site
                )));
            }
            Ok(_) => reached = true,
            Err(error) => trouble = error.to_string(),
        }
    }
    if reached {
        return Ok(());
    }
    Err(Failure::new(Exit::Unavailable, format!("no site answers: {trouble}")))
}

/// Connections are spread over a few threads, each with a runtime of its own: on a small machine one, so that the load
/// doesn't take the cores of what it measures.
fn drive(plan: &Plan, callers: usize, connections: usize) -> Result<Tally, Failure> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / 4).clamp(1, connections);
    let share =
        |all: usize, parts: usize, part: usize| all / parts + usize::from(part < all % parts);
    let callers_of: Vec<usize> =
        (0..connections).map(|connection| share(callers, connections, connection)).collect();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let mine: Vec<usize> =
                    callers_of.iter().skip(thread).step_by(threads).copied().collect();
                scope.spawn(move || block_on(load::connections(plan, &mine)))
            })
            .collect();
        let mut tally = Tally::new(plan.accounts.wallets.len());
        let mut failure = None;
        for thread in running {
            match thread.join().expect("a load thread doesn't panic") {
                Ok(part) => tally.add(&part),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(tally), Err)
    })
}
