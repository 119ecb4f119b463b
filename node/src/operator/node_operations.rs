//! The operator's requests to a running node, which come from the admin socket. They never move
//! money; the public ones are in `health`.

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
use super::operations::{AdminError, Operations};
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
        peers::{book::Peers, quic::QuicTransport},
        progress,
        proposing::queue::Queue,
    },
    road::Lead,
    state::{AppliedState, LogPosition, freshness::Freshness},
    telemetry::timeline::Timeline,
};

/// A running node, for requests from outside.
pub struct NodeOperations {
    pub config: Arc<Config>,
    /// The data folder is on a file system in memory.
    pub volatile: bool,
    pub started: Instant,
    pub raft: Raft,
    pub state: Arc<AppliedState>,
    pub journal: Journal,
    pub peers: Arc<Peers>,
    pub transport: Arc<QuicTransport>,
    pub freshness: Arc<Freshness>,
    pub lead: watch::Receiver<Lead>,
    pub timeline: Timeline,
    pub acts: LedgerActs,
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Becomes true when the node begins to stop.
    pub stopping: watch::Receiver<bool>,
}

impl NodeOperations {
    fn site_of(&self, node: NodeId) -> String {
        let member = self.config.members.iter().find(|member| member.node == node);
        member.map_or_else(|| format!("node {node}"), |member| member.site.clone())
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
                let heard = self.peers.last_report(member.node).map(|heard| heard.at);
                let leads = *self.lead.borrow() == Lead::There(member.node);
                let from_primary = self.freshness.last_contact().filter(|_| leads);
                let heard = heard.max(from_primary);
                let silence = heard.map(|at| now.saturating_duration_since(at));
                let rtt = self.transport.rtt(member.node);
                PeerStatus {
                    node: member.node,
                    site: member.site.clone(),
                    // Only the primary and its followers exchange messages, so reports from another
                    // role are stale. Followers exchange nothing, but keep a connection that ends
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
                }
            })
            .collect()
    }

    /// Caught up and part of a majority.
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
        let target = self.config.members.iter().find(|member| member.site == to);
        let target = target.ok_or_else(|| {
            let sites: Vec<_> = self.config.members.iter().map(|m| m.site.as_str()).collect();
            AdminError::Invalid(format!(
                "there is no site {to}; the sites are {}",
                sites.join(", ")
            ))
        })?;
        let seen = progress::read_status(&self.raft);
        if !seen.is_primary {
            let primary = seen.primary.map_or("no known primary".into(), |node| self.site_of(node));
            return Err(AdminError::Conflict(format!(
                "this site isn't the primary ({primary}); send the request to the primary"
            )));
        }
        if target.node == self.config.node {
            return Err(AdminError::Conflict(format!("{to} is already the primary")));
        }
        self.await_eligible(target.node)
            .await
            .map_err(|why| AdminError::Conflict(format!("{to} {why}; nothing was done")))?;
        let now = Instant::now();
        self.timeline.record("switchover_begun", json!({ "to": to, "term": seen.term }));
        let mut applied = self.state.watch_applied();
        let mut last_of_old = now;
        progress::hand_over(&self.raft, target.node).await.map_err(AdminError::Failed)?;
        let new_term = async {
            loop {
                if applied.changed().await.is_err() {
                    return None;
                }
                let at = Instant::now();
                match *applied.borrow_and_update() {
                    Some(LogPosition { term, .. }) if term > seen.term => return Some((term, at)),
                    _ => last_of_old = at,
                }
            }
        };
        let done = tokio::time::timeout(progress::HANDOVER_PATIENCE, new_term).await;
        let Ok(Some((term, at))) = done else {
            return Err(AdminError::Unknown(format!(
                "{to} hasn't committed within {} s; see `evenkeel admin status`",
                progress::HANDOVER_PATIENCE.as_secs()
            )));
        };
        if !self.is_led_by(target.node, seen.term).await {
            let what = format!("term {term} has begun, but its primary isn't {to}; see `status`");
            return Err(AdminError::Unknown(what));
        }
        let pause_ms = milliseconds(at.saturating_duration_since(last_of_old));
        let from = self.config.site.clone();
        self.timeline.record(
            "switchover",
            json!({ "from": from, "to": to, "term": term, "pause_ms": pause_ms }),
        );
        tracing::info!(%to, term, pause_ms, "handed the primary role over");
        Ok(Switchover { from, to, term, pause_ms })
    }

    /// Waits until a follower can take over: until it answers and has every record that this
    /// primary had when the handover was requested. A site that was just started needs a moment; a
    /// handover to a site that isn't ready would leave the cluster without a primary.
    async fn await_eligible(&self, target: NodeId) -> Result<(), &'static str> {
        let (since, goal) = (Instant::now(), self.journal.newest_tip().map(|tip| tip.position));
        loop {
            let heard = self.peers.last_report(target).filter(|heard| heard.at >= since);
            let followers = progress::read_status(&self.raft).followers;
            let matched = followers.iter().find(|follower| follower.node == target);
            let why = match heard {
                None => "doesn't answer",
                Some(heard) if heard.joining => {
                    "began empty and hasn't caught up, so it can't be elected"
                }
                Some(heard) if heard.disk_full => "has a full disk",
                Some(_) if matched.is_some_and(|follower| follower.matched >= goal) => {
                    return Ok(());
                }
                Some(_) => "hasn't caught up",
            };
            if since.elapsed() > progress::FIT_PATIENCE {
                return Err(why);
            }
            // Heartbeat replies raise no event, so poll.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether a site leads, once there's a primary other than this one in the ended term.
    async fn is_led_by(&self, site: NodeId, ended: u64) -> bool {
        let mut lead = self.lead.clone();
        let settled =
            lead.wait_for(|lead| !matches!(*lead, Lead::Nowhere) && *lead != Lead::Here(ended));
        let led = tokio::time::timeout(progress::HANDOVER_PATIENCE, settled).await;
        matches!(led, Ok(Ok(lead)) if *lead == Lead::There(site))
    }
}

/// Entries of a journal, in the form that's shown. Reads files: never call it on a thread that
/// serves others.
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
            ready: self.is_ready(lead, now),
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
            let read = tokio::task::spawn_blocking(move || read_entries(&journal, from, limit));
            read.await.map_err(|error| AdminError::Failed(error.to_string()))?
        })
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, AdminError>> {
        Box::pin(async move {
            let journal = self.journal.clone();
            let walked =
                tokio::task::spawn_blocking(move || crate::replay::verify::verify_online(&journal));
            walked.await.map_err(|error| AdminError::Failed(error.to_string()))
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
