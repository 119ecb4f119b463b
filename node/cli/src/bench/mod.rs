//! `evenkeel bench`: drives a running cluster, measures it, and then checks that every balance
//! matches the acknowledged transfers.
//!
//! It opens its own accounts, so it can run repeatedly against any cluster. A caller has one batch
//! in flight. Over QUIC callers share a few connections, as they would behind a real gateway; over
//! HTTP each caller has its own.

mod accounts;
mod batch;
mod check;
mod figures;
mod http;
mod load;
mod table;
mod volatile;

use std::{sync::atomic::AtomicU64, thread};

use evenkeel_wire::{
    amount::Asset,
    client::{ClientConfig, ClientOptions},
    limits::{COMMANDS_MAX, REQUESTS_OUTSTANDING_MAX},
};
use tokio::time::{Duration, Instant};

use self::{accounts::BenchAccounts, figures::Tally};
use crate::{
    Failure,
    door::{ClientFile, Door, block_on},
    output::print_note,
};

/// The most connections: a connection costs the site more than its callers do.
const CONNECTIONS_MAX: usize = 8;
/// The most callers over HTTP: each needs a connection and thus a file descriptor, and 1,024
/// descriptors are a common limit.
const HTTP_CALLERS_MAX: usize = 1_000;
/// How long a batch is retried before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    file: ClientFile,
    /// Number of transfers
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    transfers: u64,
    /// Number of wallets that take part
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// Transfers per request, 1 to 8192
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8192))]
    batch: u32,
    /// Callers, each with one request in flight
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=32_768))]
    callers: u32,
    /// Connections shared by the callers, 1 to 8 [default: 8, at most one per caller]; not with
    /// --http, where each caller has its own
    #[arg(long, value_name = "N", conflicts_with = "http", value_parser = clap::value_parser!(u32).range(1..=8))]
    connections: Option<u32>,
    /// The asset to transfer
    #[arg(long, default_value = "KRW", value_parser = parse_asset)]
    asset: Asset,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const _: () = assert!(COMMANDS_MAX == 8_192, "the bound of --batch");

fn parse_asset(name: &str) -> Result<Asset, String> {
    Asset::parse(name).map_err(|error| error.to_string())
}

/// What every connection needs.
struct BenchPlan {
    config: ClientConfig,
    http: bool,
    accounts: BenchAccounts,
    batch: u32,
    transfers: u64,
    /// Transfers already assigned to a caller.
    issued: AtomicU64,
}

impl BenchPlan {
    /// A door that retries until it has an answer.
    fn door(&self) -> Result<Door, Failure> {
        Door::new(&self.config, patient_options(), self.http)
    }
}

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let callers = to_usize(args.callers);
    let connections = count_connections(args, callers)?;
    let (config, http) = (args.file.load()?, args.file.http);
    block_on(volatile::refuse(&config, http))?;
    print_note(&format!("opening {} accounts", args.accounts));
    let accounts = block_on(async {
        let door = Door::new(&config, patient_options(), http)?;
        BenchAccounts::open(&door, to_usize(args.accounts), args.asset).await
    })?;
    let (batch, transfers, issued) = (args.batch, args.transfers, AtomicU64::new(0));
    let plan = BenchPlan { config, http, accounts, batch, transfers, issued };

    print_note(&format!(
        "{transfers} transfers in batches of {batch} from {callers} callers on {connections} connections"
    ));
    let started = Instant::now();
    let tally = drive(&plan, callers, connections)?;
    let took = started.elapsed();

    print_note("comparing balances");
    let checked = block_on(async { check::balances(&plan.door()?, &plan.accounts, &tally).await });
    figures::report(args, &tally, took)?;
    checked
}

/// The number of connections for this number of callers.
fn count_connections(args: &BenchArgs, callers: usize) -> Result<usize, Failure> {
    if args.file.http {
        if callers > HTTP_CALLERS_MAX {
            return Err(Failure::usage(format!(
                "{callers} callers over HTTP, each with its own connection: at most {HTTP_CALLERS_MAX}"
            )));
        }
        return Ok(callers);
    }
    let connections = args.connections.map_or(CONNECTIONS_MAX, to_usize).min(callers);
    if callers.div_ceil(connections) > REQUESTS_OUTSTANDING_MAX {
        return Err(Failure::usage(format!(
            "{callers} callers on {connections} connections: at most {REQUESTS_OUTSTANDING_MAX} on each"
        )));
    }
    Ok(connections)
}

fn patient_options() -> ClientOptions {
    ClientOptions { connections: 1, deadline: PATIENCE, ..ClientOptions::default() }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).expect("a u32 fits in usize")
}

/// Spreads the connections over a few threads, each with its own runtime. A small machine gets one
/// thread, so that the load generator doesn't take the cores of the measured nodes.
fn drive(plan: &BenchPlan, callers: usize, connections: usize) -> Result<Tally, Failure> {
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
                scope.spawn(move || {
                    if plan.http {
                        return block_on(http::drive_callers(plan, mine.iter().sum()));
                    }
                    block_on(load::drive_connections(plan, &mine))
                })
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
