//! `evenkeel admin`: the admin socket for people. What curl gets, in words and tables; `--json` gives it as it came.

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
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: AdminVerb,
}

#[derive(Debug, Subcommand)]
enum AdminVerb {
    /// What the node is, knows and lacks
    Status,
    /// Hand the primary role to another site, as planned
    Switchover {
        /// The site that is to be primary
        #[arg(long, value_name = "SITE")]
        to: String,
    },
    /// The other nodes, as this one sees them
    Peers,
    /// Entries of the journal
    Journal {
        /// The first position; the newest entries without it
        #[arg(long, value_name = "P")]
        from: Option<u64>,
        /// How many, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Walk this node's journal while it runs
    Verify,
    /// What this node saw and did
    Timeline {
        /// 2026-10-15T15:19:00Z, or 90m for the last hour and a half
        #[arg(long, value_name = "T")]
        since: Option<String>,
        /// The same
        #[arg(long, value_name = "T")]
        until: Option<String>,
    },
    /// Keys: who may ask for what
    Keys {
        #[command(subcommand)]
        verb: keys::KeysVerb,
    },
    /// The business day
    Day {
        #[command(subcommand)]
        verb: DayVerb,
    },
    /// Another filter for the log, from now on
    LogLevel {
        /// A level, or items as openraft=debug with commas between them
        filter: String,
    },
}

#[derive(Debug, Subcommand)]
enum DayVerb {
    /// End it now; the next date is the day after
    Close,
}

/// What to ask: a method, a route with its query, a body.
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
            return Err(Failure::usage("which node? say --socket PATH or --config FILE"));
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

    /// Shows the answer, and judges it: damage has its own exit code.
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
            Self::LogLevel { filter } => format!("the log's filter is {filter} from now on"),
            Self::Verify => unreachable!("shown above"),
        })
    }
}

/// The exit code for what the socket answered.
fn exit_for(status: u16) -> Exit {
    match status {
        400 | 404 | 405 | 413 | 422 => Exit::Usage,
        503 | 504 => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
