//! Watches what this site reaches: every peer that is lost or answers again is reported at once,
//! and while there's no primary, what the site waits for, since when, and each peer's last error:
//! soon, and then every minute.
//!
//! It only reads, and never decides who leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::id::NodeId;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{introductions::Introductions, node_operations::NodeOperations};
use crate::{
    clock::{format_span, format_time},
    replication::{empty_copy::EmptyCopies, progress},
    road::{Lead, Road},
};

/// How often it looks.
const PACE: Duration = Duration::from_millis(100);
/// How long a peer must be silent before it's called lost: roles change, and so do the messages
/// that a site hears.
const LOST_AFTER: Duration = Duration::from_millis(500);
/// How long a primary, or a peer since the start, may be missing before it's reported; more where
/// elections take longer.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// How much longer the first report waits for the errors of the first dials.
const DIAL_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// The error of a peer before the first dial to it has ended.
const NOT_DIALLED: &str = "the first connection hasn't been made yet";
/// How often what is waited for is reported again.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How often it's reported when it has changed.
const REPORT_CHANGE_EVERY: Duration = Duration::from_secs(1);
/// How often new connections are looked for.
const INTRODUCE_EVERY: Duration = Duration::from_millis(500);

/// The peers' errors and the outage, for the operator.
#[derive(Default)]
pub(crate) struct PeerNotes(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    waits_for: Option<String>,
    errors: BTreeMap<NodeId, String>,
}

impl PeerNotes {
    /// What this site waits for, while there's no primary.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.notes().waits_for.clone()
    }

    /// Why a peer isn't reached, while it isn't.
    pub(crate) fn error(&self, peer: NodeId) -> Option<String> {
        self.notes().errors.get(&peer).cloned()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One peer, as it was seen last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerSight {
    /// Never reached since this start, or since then not reported.
    Unseen,
    Reached {
        since: Instant,
    },
    /// Silent for a moment.
    Silent {
        reached: Instant,
        since: Instant,
    },
    Lost {
        since: Instant,
    },
}

/// What is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SightChange {
    None,
    /// Not reached since the start.
    Missing,
    /// It had answered for this long.
    Lost(Duration),
    /// It hadn't answered for this long.
    Found(Duration),
}

impl PeerSight {
    /// `due`: a peer that was never reached is reported now.
    fn observe(
        &mut self,
        reachable: bool,
        (started, due): (Instant, bool),
        now: Instant,
    ) -> SightChange {
        match (*self, reachable) {
            (Self::Unseen, true) => *self = Self::Reached { since: now },
            (Self::Unseen, false) if due => {
                *self = Self::Lost { since: started };
                return SightChange::Missing;
            }
            (Self::Reached { since }, false) => {
                *self = Self::Silent { reached: since, since: now };
            }
            (Self::Silent { reached, .. }, true) => *self = Self::Reached { since: reached },
            (Self::Silent { reached, since }, false) if now - since >= LOST_AFTER => {
                *self = Self::Lost { since };
                return SightChange::Lost(since - reached);
            }
            (Self::Lost { since }, true) => {
                *self = Self::Reached { since: now };
                return SightChange::Found(now - since);
            }
            _ => {}
        }
        SightChange::None
    }
}

/// Watches this site's peers until the node stops.
pub(crate) struct PeerWatch {
    pub(crate) operations: Arc<NodeOperations>,
    pub(crate) introductions: Arc<Introductions>,
    pub(crate) empty_copies: Arc<EmptyCopies>,
    pub(crate) road: Arc<Road>,
}

/// What the watch remembers between two looks.
struct Memory {
    started: Instant,
    sights: BTreeMap<NodeId, PeerSight>,
    leaderless: Option<Leaderless>,
    /// How long something may be missing before it's reported.
    patience: Duration,
}

#[derive(Clone)]
struct Leaderless {
    since: Instant,
    /// Wall time, microseconds.
    at: u64,
    /// When it was reported, and what was said.
    reported: Option<(Instant, String)>,
}

impl PeerWatch {
    pub(crate) async fn run(self) {
        tokio::join!(self.look(), self.introduce());
    }

    async fn look(&self) {
        let patience = self.operations.config.profile.timing().election_max * 2;
        let mut memory = Memory {
            started: Instant::now(),
            sights: BTreeMap::new(),
            leaderless: None,
            patience: patience.max(REPORT_AFTER),
        };
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = pace.tick().await;
            self.look_at_peers(&mut memory, now);
            self.look_at_lead(&mut memory, now);
        }
    }

    /// Introduces this site on every new connection.
    async fn introduce(&self) {
        let transport = &*self.operations.transport;
        let members = self.operations.config.members.iter().map(|member| member.node);
        let others: Vec<NodeId> =
            members.filter(|node| *node != self.operations.config.node).collect();
        // The connection on which a peer was introduced.
        let mut introduced: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut pace = interval(INTRODUCE_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            for node in &others {
                let link = transport.link_id(*node);
                let Some(link) = link.filter(|link| introduced.get(node) != Some(link)) else {
                    continue;
                };
                match self.introductions.exchange(transport, *node).await {
                    Ok(()) => drop(introduced.insert(*node, link)),
                    Err(error) => tracing::debug!(peer = node, %error, "not introduced yet"),
                }
            }
        }
    }

    fn look_at_peers(&self, memory: &mut Memory, now: Instant) {
        let seen = progress::read_status(&self.operations.raft);
        for peer in self.operations.peer_statuses(&seen, now) {
            let node = peer.node;
            let error = self.last_error(node).unwrap_or_else(|| NOT_DIALLED.to_owned());
            if peer.reachable {
                self.operations.notes.notes().errors.remove(&node);
            } else {
                self.introductions.record_refusal(node, &error);
                self.operations.notes.notes().errors.insert(node, error.clone());
            }
            let sight = memory.sights.entry(node).or_insert(PeerSight::Unseen);
            let due = now - memory.started >= memory.patience;
            let change = sight.observe(peer.reachable, (memory.started, due), now);
            self.report_change(node, &peer.site, change, &error);
        }
    }

    fn report_change(&self, peer: NodeId, site: &str, change: SightChange, error: &str) {
        let record = |event, took: Duration| {
            let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let details = json!({ "node": peer, "site": site, "after_ms": took, "why": error });
            self.operations.timeline.record(event, details);
        };
        match change {
            SightChange::None => {}
            SightChange::Missing => {
                tracing::warn!(peer, error, "a site hasn't been reached since this start");
                record("lost_peer", Duration::ZERO);
            }
            SightChange::Lost(answered) => {
                let answered = format_span(answered);
                tracing::warn!(peer, answered_for = answered, error, "lost a peer");
                record("lost_peer", LOST_AFTER);
            }
            SightChange::Found(silent) => {
                tracing::info!(peer, silent_for = format_span(silent), "a lost peer answers again");
                record("found_peer", silent);
            }
        }
    }

    fn look_at_lead(&self, memory: &mut Memory, now: Instant) {
        if self.road.lead() != Lead::Nowhere {
            if let Some(before) = memory.leaderless.take() {
                self.operations.notes.notes().waits_for = None;
                self.road.set_outage(None);
                if before.reported.is_some() {
                    let took = format_span(now - before.since);
                    tracing::info!(took, "there is a primary: this site waits no longer");
                }
            }
            return;
        }
        let at = self.operations.clock.wall_micros();
        let new = Leaderless { since: now, at, reported: None };
        let before = memory.leaderless.take().unwrap_or(new);
        let waits_for = self.explain_wait(memory, before.at);
        self.operations.notes.notes().waits_for = Some(waits_for.clone());
        let due = match &before.reported {
            None => {
                let waited = now - before.since;
                waited >= memory.patience
                    && (self.knows_errors() || waited >= memory.patience + DIAL_ENDS_WITHIN)
            }
            // The other sites may be missed one after the other.
            Some((reported, said)) => {
                let changed = *said != waits_for;
                now - *reported >= if changed { REPORT_CHANGE_EVERY } else { REPORT_EVERY }
            }
        };
        self.road.set_outage(Some(waits_for.clone().into()));
        if due {
            let (waited, errors) = (format_span(now - before.since), self.list_errors());
            tracing::warn!(waited, peers = errors, "{waits_for}");
        }
        let reported = if due { Some((now, waits_for)) } else { before.reported };
        memory.leaderless = Some(Leaderless { reported, ..before });
    }

    /// The reason that there's no primary, in one sentence.
    fn explain_wait(&self, memory: &Memory, since: u64) -> String {
        let members = &self.operations.config.members;
        let reached = |node: NodeId| {
            node == self.operations.config.node
                || matches!(memory.sights.get(&node), Some(PeerSight::Reached { .. }))
        };
        let missing = members.iter().filter(|member| !reached(member.node));
        let missing: Vec<&str> = missing.map(|member| member.site.as_str()).collect();
        let (up, names) = (members.len() - missing.len(), missing.join(", "));
        let since = format_time(since - since % 1_000_000).replace(".000000", "");
        let is_new = self.empty_copies.is_joining() && !self.operations.state.is_bootstrapped();
        if up <= members.len() / 2 {
            format!("no primary since {since}: no majority of sites, {names} not reached")
        } else if is_new && !missing.is_empty() {
            format!(
                "no primary since {since}: this copy began empty; a new cluster waits for all sites, {names} not reached"
            )
        } else if is_new {
            format!("no primary since {since}: this copy began empty and waits for a primary")
        } else {
            format!("no primary since {since}: an election is under way")
        }
    }

    /// Why a peer doesn't answer; `None`: the first dial hasn't ended.
    fn last_error(&self, peer: NodeId) -> Option<String> {
        let transport = &self.operations.transport;
        let failure = transport.failure(peer).map(|failure| failure.error);
        let connected =
            || transport.link_id(peer).map(|_| "it's connected and doesn't answer".to_owned());
        failure.or_else(connected)
    }

    /// Whether there's an error for each peer that isn't reached.
    fn knows_errors(&self) -> bool {
        !self.operations.notes.notes().errors.values().any(|error| error == NOT_DIALLED)
    }

    /// Each peer's last error, by name.
    fn list_errors(&self) -> String {
        let notes = self.operations.notes.notes();
        let others = self.operations.config.members.iter();
        let others = others.filter(|member| member.node != self.operations.config.node);
        let errors: Vec<String> = others
            .map(|member| {
                let error = notes.errors.get(&member.node).map_or("reached", String::as_str);
                format!("{}: {error}", member.site)
            })
            .collect();
        errors.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_lost_peer_is_reported_once_and_soon() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut sight = PeerSight::Unseen;
        let mut observe = |reachable, ms| sight.observe(reachable, (start, true), at(ms));
        assert_eq!(observe(true, 100), SightChange::None);
        assert_eq!(observe(false, 5_100), SightChange::None, "a moment");
        assert_eq!(observe(true, 5_300), SightChange::None, "and back");
        assert_eq!(observe(false, 6_100), SightChange::None);
        assert_eq!(observe(false, 6_600), SightChange::Lost(Duration::from_secs(6)));
        assert_eq!(observe(false, 60_000), SightChange::None, "once");
        assert_eq!(observe(true, 66_100), SightChange::Found(Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_was_never_reached_is_reported_too() {
        let start = Instant::now();
        let mut sight = PeerSight::Unseen;
        let mut observe =
            |reachable, due, at: Duration| sight.observe(reachable, (start, due), start + at);
        assert_eq!(observe(false, false, REPORT_AFTER / 2), SightChange::None);
        assert_eq!(observe(false, true, REPORT_AFTER), SightChange::Missing);
        assert_eq!(observe(false, true, REPORT_AFTER * 2), SightChange::None);
        assert_eq!(observe(true, true, REPORT_AFTER * 3), SightChange::Found(REPORT_AFTER * 3));
    }
}
