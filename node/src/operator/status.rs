//! The JSON of the admin socket, with the shapes of docs/OPERATIONS.md. These types never compute
//! anything.
//!
//! Positions are entry numbers, `null` if there is none yet; digests and links are hex; times are
//! RFC 3339 in UTC, `_ms` are milliseconds, `_s` seconds.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The current role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Orders commands.
    Primary,
    /// Copies commands.
    Follower,
    /// Requests votes.
    Candidate,
    /// Copies without a vote.
    Learner,
    /// Replays its own journal.
    Recovering,
    /// Damaged in its journal: neither votes nor serves until it's repaired.
    Damaged,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Recovering => "recovering",
            Self::Damaged => "damaged",
        })
    }
}

/// `GET /status`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub cluster: String,
    pub node: u64,
    pub site: String,
    pub role: Role,
    pub term: u64,
    pub primary: Option<Primary>,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    pub flushed: Option<u64>,
    pub chain_head: Option<String>,
    /// The last 16, oldest first.
    pub digests: Vec<Digest>,
    /// The open business day, `YYYY-MM-DD`.
    pub business_date: Option<String>,
    pub peers: Vec<PeerStatus>,
    /// How far the ledger's time is ahead of a majority's clocks, or of this node's where no
    /// majority agrees; 0 if it isn't.
    #[serde(default)]
    pub ledger_ahead_ms: u64,
    pub ready: bool,
    /// Why there's no primary, and since when; absent while there's one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    pub version: String,
    pub uptime_s: u64,
}

impl Status {
    /// Whether this node is the primary.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        self.role == Role::Primary
    }
}

/// The primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Primary {
    pub node: u64,
    pub site: String,
}

/// A digest over all replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    pub position: u64,
    pub digest: String,
}

/// One other node, as this one sees it. `GET /peers` is a list of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    pub node: u64,
    pub site: String,
    pub reachable: bool,
    /// The newest position that is known to be durable at the peer; known to the primary only.
    pub matched: Option<u64>,
    /// Entries that the peer lacks; known to the primary only.
    pub lag: Option<u64>,
    pub last_heard_ms: Option<u64>,
    pub rtt_ms: Option<f64>,
    /// The peer's clock less this node's; `null` while it isn't known.
    pub clock_offset_ms: Option<i64>,
    /// Why it isn't reached; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it has otherwise than this site, for people: a profile, a version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
}

/// One entry of the journal. `GET /journal` is a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    pub position: u64,
    pub term: u64,
    /// `null` if the entry carries no commands.
    pub time: Option<String>,
    /// `commands`, `blank` or `membership`.
    pub kind: String,
    pub commands: u32,
    pub bytes: u64,
    pub link: String,
}

/// `POST /switchover`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Switchover {
    pub from: String,
    pub to: String,
    pub term: u64,
    /// From the last commit of the old primary to the first of the new one.
    pub pause_ms: f64,
}

/// `POST /keys`: the only answer with a key's text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    pub id: u32,
    pub key: String,
    pub role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Without the key's text, which must never reach a log.
impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, role, account, .. } = self;
        write!(f, "key {id} of role {role} for {account:?}")
    }
}

/// A key, without its text. `GET /keys` is a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKey {
    pub id: u32,
    pub role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub revoked: bool,
}

/// `POST /day/close`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedDay {
    /// The day that was closed, `YYYY-MM-DD`.
    pub date: String,
    /// The day that began.
    pub next: String,
    /// The position of the marker's entry, and its link.
    pub position: u64,
    pub link: String,
}

/// An error of the admin socket: problem+json (RFC 9457), as on the HTTP door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminProblem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub code: String,
    pub retryable: bool,
}

/// A duration for `_ms` fields, to a thousandth.
#[must_use]
#[expect(clippy::float_arithmetic, reason = "a time for people")]
pub fn milliseconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}
