//! `evenkeel admin`: the admin socket for people. Shows the socket's answers as text and tables;
//! `--json` prints them unchanged.

mod call;
mod keys;
mod show;

use std::path::PathBuf;

use clap::Subcommand;
use evenkeel_http::Method;
use serde_json::{Value, json};

use crate::{Exit, Failure, config_check::ConfigSource, output, verdict};
use evenkeel_node::operator::status::{ClosedDay, JournalEntry, PeerStatus, Status, Switchover};
use evenkeel_node::{replay::verify_report::VerifyReport, telemetry::timeline::TimelineEvent};

#[derive(Debug, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct AdminArgs {
    /// The node's admin socket
    #[arg(long, value_name = "PATH", conflicts_with = "config", global = true)]
    socket: Option<PathBuf>,
    /// The node's node.toml, which names the socket
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: AdminVerb,
}

#[derive(Debug, Subcommand)]
enum AdminVerb {
    /// Show the node's state
    Status,
    /// Planned switchover of the primary role to another site
    Switchover {
        /// The site that becomes primary
        #[arg(long, value_name = "SITE")]
        to: String,
    },
    /// The other nodes, as seen by this one
    Peers,
    /// List journal entries
    Journal {
        /// The first position [default: the newest entries]
        #[arg(long, value_name = "P")]
        from: Option<u64>,
        /// Number of entries, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Verify this node's journal while the node runs
    Verify,
    /// Events recorded by this node
    Timeline {
        /// Start: a time such as 2026-10-15T15:19:00Z, or a span such as 90m for the last 90
        /// minutes
        #[arg(long, value_name = "T")]
        since: Option<String>,
        /// End, in the same formats
        #[arg(long, value_name = "T")]
        until: Option<String>,
    },
    /// Manage keys and their roles
    Keys {
        #[command(subcommand)]
        verb: keys::KeysVerb,
    },
    /// Manage the business day
    Day {
        #[command(subcommand)]
        verb: DayVerb,
    },
    /// Change the log filter of the running node
    LogLevel {
        /// A level, or comma-separated directives such as openraft=debug
        filter: String,
    },
}

#[derive(Debug, Subcommand)]
enum DayVerb {
    /// Close the current business day; the next date is the following day
    Close,
}

/// A request to the admin socket: method, route with its query, body.
struct AdminRequest {
    method: Method,
    route: String,
    body: Option<Value>,
}

pub(crate) fn run(args: &AdminArgs) -> Result<(), Failure> {
    let socket = match (&args.socket, &args.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(config)) => {
            ConfigSource { config: config.clone(), settings: Vec::new() }.load()?.socket
        }
        (None, None) => {
            return Err(Failure::usage("no node given: use --socket PATH or --config FILE"));
        }
    };
    let answer = call::send_request(&socket, args.verb.to_request())?;
    if args.json && !answer.is_empty() {
        output::print(answer.trim_end())?;
    }
    args.verb.show_answer(&answer, args.json)
}

impl AdminVerb {
    fn to_request(&self) -> AdminRequest {
        let get = |route: String| AdminRequest { method: Method::GET, route, body: None };
        let post = |route: &str, body| AdminRequest {
            method: Method::POST,
            route: route.to_owned(),
            body: Some(body),
        };
        match self {
            Self::Status => get("/status".to_owned()),
            Self::Peers => get("/peers".to_owned()),
            Self::Journal { from, limit } => {
                let from = from.map(|from| format!("&from={from}")).unwrap_or_default();
                get(format!("/journal?limit={limit}{from}"))
            }
            Self::Timeline { since, until } => {
                let parameter = |name: &str, time: &Option<String>| {
                    time.as_ref().map(|time| format!("{name}={}", call::escape(time)))
                };
                let given = [parameter("since", since), parameter("until", until)];
                let query: Vec<String> = given.into_iter().flatten().collect();
                get(format!("/timeline?{}", query.join("&")))
            }
            Self::Switchover { to } => post("/switchover", json!({"to": to})),
            Self::Verify => post("/verify", json!({})),
            Self::Keys { verb } => verb.to_request(),
            Self::Day { verb: DayVerb::Close } => post("/day/close", json!({})),
            Self::LogLevel { filter } => AdminRequest {
                method: Method::PUT,
                route: "/log-level".to_owned(),
                body: Some(json!({"filter": filter})),
            },
        }
    }

    /// Prints the answer. A damage report maps to its own exit code.
    fn show_answer(&self, answer: &str, json: bool) -> Result<(), Failure> {
        if let Self::Verify = self {
            return verdict::report_verdict(&call::read::<VerifyReport>(answer)?, json);
        }
        if json {
            return Ok(());
        }
        output::print(&match self {
            Self::Status => show::status(&call::read::<Status>(answer)?),
            Self::Peers => show::peers(&call::read::<Vec<PeerStatus>>(answer)?),
            Self::Journal { .. } => show::journal(&call::read::<Vec<JournalEntry>>(answer)?),
            Self::Timeline { .. } => show::timeline(&call::read::<Vec<TimelineEvent>>(answer)?),
            Self::Switchover { .. } => show::switchover(&call::read::<Switchover>(answer)?),
            Self::Keys { verb } => return verb.show_answer(answer),
            Self::Day { verb: DayVerb::Close } => show::closed(&call::read::<ClosedDay>(answer)?),
            Self::LogLevel { filter } => format!("the log filter is now {filter}"),
            Self::Verify => unreachable!("returned above"),
        })
    }
}

/// The exit code for the socket's HTTP status.
fn exit_for(status: u16) -> Exit {
    match status {
        400 | 404 | 405 | 413 | 422 => Exit::Usage,
        503 | 504 => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
