//! A running node's answers to its operator, over the admin socket. Public answers are in
//! `observed`. It never moves money.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::{
    entry::EntryBody,
    id::{AccountId, KeyId, NodeId},
    key::Role as KeyRole,
};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use super::acts::LedgerActs;
use super::introductions::Introductions;
use super::operations::{AdminError, Operations};
use super::peer_watch::PeerNotes;
use super::status::{
    ClosedDay, CreatedKey, Digest, JournalEntry, KnownKey, PeerStatus, Primary, Role, Status,
    Switchover, milliseconds,
};
use crate::{
    clock::{Clock, format_time},
    config::Config,
    history::record_kind,
    limits::READ_BYTES_MAX,
    metrics::Metrics,
    replay::verify_report::VerifyReport,
    replication::{
        Raft,
        leadership::handover::{COMMIT_WITHIN, Handover, HandoverFailure, HandoverRefusal},
        peers::{book::PeerBook, clocks::PeerClocks, quic::QuicTransport},
        progress,
        proposing::queue::Queue,
    },
    road::Lead,
    state::{AppliedState, freshness::Freshness},
    telemetry::{Telemetry, panic_if_planted, timeline::Timeline},
};

/// A running node, for its operator and for the public routes.
pub struct NodeOperations {
    pub config: Arc<Config>,
    /// The data folder is on a file system in memory.
    pub volatile: bool,
    pub started: Instant,
    pub raft: Raft,
    pub state: Arc<AppliedState>,
    pub journal: Journal,
    pub book: Arc<PeerBook>,
    pub clocks: Arc<PeerClocks>,
    pub transport: Arc<QuicTransport>,
    pub freshness: Arc<Freshness>,
    pub lead: watch::Receiver<Lead>,
    pub handover: Handover,
    pub timeline: Timeline,
    pub acts: LedgerActs,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub(crate) notes: Arc<PeerNotes>,
    pub(crate) introductions: Arc<Introductions>,
    pub telemetry: Telemetry,
    /// Set when the node begins to stop.
    pub stopping: watch::Receiver<bool>,
}

impl NodeOperations {
    fn site_of(&self, node: NodeId) -> String {
        let member = self.config.members.iter().find(|member| member.node == node);
        member.map_or_else(|| format!("node {node}"), |member| member.site.clone())
    }

    fn differences(&self, peer: NodeId) -> Vec<String> {
        let found = self.introductions.differences(peer).into_iter();
        found.map(|difference| format!("{}: {}", difference.kind, difference.what)).collect()
    }

    fn silence_limit(&self) -> Duration {
        let timing = self.config.profile.timing();
        timing.election_max + timing.heartbeat * 4
    }

    pub(crate) fn peer_statuses(
        &self,
        seen: &progress::ReplicationStatus,
        now: Instant,
    ) -> Vec<PeerStatus> {
        let last = self.journal.newest_tip().map(|tip| tip.position);
        let others = self.config.members.iter().filter(|member| member.node != self.config.node);
        others
            .map(|member| {
                let progress = seen.followers.iter().find(|progress| progress.node == member.node);
                let matched = progress.and_then(|progress| progress.matched);
                let heard = self.book.last_report(member.node).map(|heard| heard.at);
                let leads = *self.lead.borrow() == Lead::There(member.node);
                let from_primary = self.freshness.last_contact().filter(|_| leads);
                let heard = heard.max(from_primary);
                let silence = heard.map(|at| now.saturating_duration_since(at));
                let rtt = self.transport.rtt(member.node);
                PeerStatus {
                    node: member.node,
                    site: member.site.clone(),
                    // A primary and its follower exchange messages; a message from an earlier role
                    // proves nothing. Followers exchange none but keep a connection, which ends
                    // when the other one is gone.
                    reachable: match silence {
                        Some(silence) if seen.is_primary || leads => {
                            silence <= self.silence_limit()
                        }
                        _ => rtt.is_some(),
                    },
                    matched,
                    lag: if seen.is_primary { Some(lag(last, matched)) } else { None },
                    last_heard_ms: silence
                        .map(|s| u64::try_from(s.as_millis()).unwrap_or(u64::MAX)),
                    rtt_ms: rtt.map(milliseconds),
                    clock_offset_ms: self
                        .clocks
                        .offset(member.node, now)
                        .map(|micros| micros / 1_000),
                    error: self.notes.error(member.node),
                    differs: self.differences(member.node),
                }
            })
            .collect()
    }

    /// How far the ledger's time is ahead of the clocks, microseconds.
    pub(crate) fn ledger_ahead(&self, now: Instant) -> u64 {
        self.clocks.ledger_ahead(self.state.ledger_time(), now)
    }

    /// Whether this node has caught up and belongs to a majority.
    pub(crate) fn is_ready(&self, lead: Lead, now: Instant) -> bool {
        match lead {
            Lead::Here(_) => true,
            Lead::There(_) => {
                let age = self.freshness.age(now, self.state.position());
                age.is_some_and(|age| age <= self.silence_limit())
            }
            Lead::Nowhere => false,
        }
    }

    async fn hand_over(&self, to: String) -> Result<Switchover, AdminError> {
        let target = self.find_site(&to)?;
        let successor =
            self.handover.check(target).await.map_err(|why| self.refusal_error(&to, why))?;
        self.timeline.record("switchover_begun", json!({ "to": to, "term": successor.term }));
        let handing_over = async { self.handover.begin(successor).await?.wait_for_commit().await };
        let taken = handing_over.await.map_err(|failure| failure_error(&to, failure))?;
        let (term, pause_ms) = (taken.term, milliseconds(taken.pause));
        let from = self.config.site.clone();
        self.timeline.record(
            "switchover",
            json!({ "from": from, "to": to, "term": term, "pause_ms": pause_ms }),
        );
        tracing::info!(%to, term, pause_ms, "handed the primary role over");
        Ok(Switchover { from, to, term, pause_ms })
    }

    fn find_site(&self, name: &str) -> Result<NodeId, AdminError> {
        let members = &self.config.members;
        members.iter().find(|member| member.site == name).map(|member| member.node).ok_or_else(
            || {
                let sites: Vec<_> = members.iter().map(|member| member.site.as_str()).collect();
                let sites = sites.join(", ");
                AdminError::Invalid(format!("there is no site {name}; the sites are {sites}"))
            },
        )
    }

    fn refusal_error(&self, to: &str, refusal: HandoverRefusal) -> AdminError {
        AdminError::Conflict(match refusal {
            HandoverRefusal::NotPrimary(primary) => {
                let primary =
                    primary.map_or("the primary is unknown".into(), |node| self.site_of(node));
                format!("this site isn't the primary ({primary}): ask there")
            }
            HandoverRefusal::AlreadyPrimary => format!("{to} is the primary already"),
            HandoverRefusal::Ineligible(why) => format!("{to} {why}; nothing was done"),
        })
    }
}

fn failure_error(to: &str, failure: HandoverFailure) -> AdminError {
    match failure {
        HandoverFailure::EngineStopped(why) => AdminError::Failed(why),
        HandoverFailure::NotCommitted => AdminError::Unknown(format!(
            "{to} hasn't committed within {} s; see `evenkeel admin status`",
            COMMIT_WITHIN.as_secs()
        )),
        HandoverFailure::OtherPrimary { term } => AdminError::Unknown(format!(
            "term {term} has begun, and its primary isn't {to}: see `status`"
        )),
    }
}

/// The journal's entries for an operator. It reads files, so it must not run on the runtime's
/// thread.
fn read_entries(
    journal: &Journal,
    from: Option<u64>,
    limit: usize,
) -> Result<Vec<JournalEntry>, AdminError> {
    let Some(last) = journal.newest_tip().map(|tip| tip.position) else { return Ok(Vec::new()) };
    let limit_u64 = u64::try_from(limit).unwrap_or(u64::MAX);
    let from = from.unwrap_or_else(|| (last + 1).saturating_sub(limit_u64));
    let end = from.saturating_add(limit_u64).min(last + 1);
    let mut entries = Vec::new();
    let mut next = from;
    while next < end {
        let records = journal.read(next, end, READ_BYTES_MAX);
        let records = records.map_err(|error| AdminError::Failed(error.to_string()))?;
        let Some(newest) = records.last() else { break };
        next = newest.position + 1;
        entries.extend(records.iter().map(|record| JournalEntry {
            position: record.position,
            term: record.term,
            time: (record.kind == record_kind::COMMANDS).then(|| format_time(record.time)),
            kind: kind_name(record.kind).to_owned(),
            commands: if record.kind == record_kind::COMMANDS {
                count_commands(&record.payload)
            } else {
                0
            },
            bytes: u64::try_from(record.payload.len()).unwrap_or(u64::MAX),
            link: record.link.to_string(),
        }));
    }
    Ok(entries)
}

fn lag(last: Option<u64>, matched: Option<u64>) -> u64 {
    let records = |position: Option<u64>| position.map_or(0, |position| position + 1);
    records(last).saturating_sub(records(matched))
}

fn kind_name(record_kind: u8) -> &'static str {
    match record_kind {
        record_kind::BLANK => "blank",
        record_kind::COMMANDS => "commands",
        record_kind::MEMBERSHIP => "membership",
        _ => "unknown",
    }
}

fn count_commands(body: &[u8]) -> u32 {
    let Ok(mut entry) = EntryBody::open(body) else { return 0 };
    let mut commands = 0;
    while let Ok(Some(group)) = entry.next_group() {
        commands += group.commands;
    }
    commands
}

impl Operations for NodeOperations {
    fn status(&self) -> Status {
        let now = Instant::now();
        let seen = progress::read_status(&self.raft);
        let lead = *self.lead.borrow();
        let role = match lead {
            Lead::Here(_) => Role::Primary,
            _ if seen.is_candidate => Role::Candidate,
            _ => Role::Follower,
        };
        let primary = match lead {
            Lead::Here(_) => Some(self.config.node),
            Lead::There(node) => Some(node),
            Lead::Nowhere => None,
        };
        let primary = primary.map(|node| Primary { node, site: self.site_of(node) });
        let digests = self.state.digests().into_iter();
        let (head, business_date) =
            self.state.with_ledger(|ledger| (ledger.last_entry().copied(), ledger.business_date()));
        Status {
            cluster: self.config.cluster.to_string(),
            node: self.config.node,
            site: self.config.site.clone(),
            role,
            term: seen.term,
            primary,
            committed: seen.committed,
            applied: self.state.position(),
            flushed: self.journal.durable_position(),
            chain_head: head.map(|head| evenkeel_storage::Link(head.link).to_string()),
            digests: digests
                .map(|(position, digest)| Digest {
                    position,
                    digest: evenkeel_storage::Link(digest).to_string(),
                })
                .collect(),
            business_date: business_date.map(|date| date.to_string()),
            peers: self.peer_statuses(&seen, now),
            ledger_ahead_ms: self.ledger_ahead(now) / 1_000,
            ready: self.is_ready(lead, now),
            waits_for: self.notes.waits_for(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: now.saturating_duration_since(self.started).as_secs(),
        }
    }

    fn switchover(&self, to: String) -> BoxFuture<'_, Result<Switchover, AdminError>> {
        Box::pin(self.hand_over(to))
    }

    fn journal(
        &self,
        from: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JournalEntry>, AdminError>> {
        Box::pin(async move {
            let journal = self.journal.clone();
            let read = tokio::task::spawn_blocking(move || {
                panic_if_planted("blocking");
                read_entries(&journal, from, limit)
            });
            read.await.map_err(|error| AdminError::Failed(error.to_string()))?
        })
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, AdminError>> {
        Box::pin(async move {
            let journal = self.journal.clone();
            let walked =
                tokio::task::spawn_blocking(move || crate::replay::verify::verify_online(&journal));
            let failed = |error: &dyn std::fmt::Display| AdminError::Failed(error.to_string());
            walked.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
        })
    }

    fn create_key(
        &self,
        role: KeyRole,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<CreatedKey, AdminError>> {
        Box::pin(self.acts.create_key(role, account))
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<KnownKey>, AdminError>> {
        Box::pin(self.acts.keys())
    }

    fn revoke_key(&self, id: KeyId) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(self.acts.revoke_key(id))
    }

    fn close_day(&self) -> BoxFuture<'_, Result<ClosedDay, AdminError>> {
        Box::pin(self.acts.close_day())
    }
}
