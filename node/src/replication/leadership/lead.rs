//! Watches which node leads: directs the road, bootstraps the ledger, and records the changes that
//! matter to an operator.
//!
//! A node never calls itself primary unless a majority answers it and its ledger has applied
//! everything of earlier terms.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::{
    codec, command::Command, entry::EntryBuilder, genesis::Genesis, id::OPERATOR_KEY,
};
use openraft::async_runtime::watch::WatchReceiver;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    clock::calendar,
    config::Timing,
    metrics::Metrics,
    road::Lead,
    state::AppliedState,
    telemetry::{folded::FoldedLine, timeline::Timeline},
};
use crate::{
    replication::{
        Raft,
        empty_copy::{BootstrapError, EmptyCopies},
        engine::types::CommandBatch,
        peers::{clocks::PeerClocks, majority::Majority, mute_gate::MuteGate},
    },
    state::freshness::Freshness,
};

/// Everything that the keeper of the lead needs.
pub struct LeadKeeperParts {
    pub raft: Raft,
    pub journal: Journal,
    pub state: Arc<AppliedState>,
    pub majority: Arc<Majority>,
    pub gate: Arc<MuteGate>,
    pub empty_copies: Arc<EmptyCopies>,
    pub freshness: Arc<Freshness>,
    pub timing: Timing,
    pub genesis: Genesis,
    pub clocks: Arc<PeerClocks>,
    pub timeline: Option<Timeline>,
    pub lead: watch::Sender<Lead>,
    pub metrics: Arc<Metrics>,
    /// The newest term before this start.
    pub term: u64,
}

/// Keeps [`Lead`] up to date.
pub struct LeadKeeper {
    parts: LeadKeeperParts,
    /// The last announced primary, and its term.
    announced: Option<(u64, u64)>,
    /// The newest counted term.
    term: u64,
    /// A primary was lost, and there's no new one yet.
    leaderless: bool,
    lines: LossLines,
}

/// The lines about a lost primary: on a bad line they'd come and go many times a minute.
#[derive(Default)]
struct LossLines {
    majority: FoldedLine,
    primary: FoldedLine,
    /// The loss was logged, so its end is, too.
    logged: bool,
}

impl LeadKeeper {
    pub fn new(on: LeadKeeperParts) -> Self {
        let term = on.term;
        Self { parts: on, announced: None, term, leaderless: false, lines: LossLines::default() }
    }

    /// Runs until the engine stops.
    pub async fn run(mut self) {
        let mut metrics = self.parts.raft.server_metrics();
        let mut applied = self.parts.state.watch_applied();
        let pace = (self.parts.timing.heartbeat / 2).min(Duration::from_millis(50));
        let mut tick = tokio::time::interval(pace);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let waits_for_ledger =
                self.parts.raft.is_leader() && *self.parts.lead.borrow() == Lead::Nowhere;
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() { break },
                changed = applied.changed(), if waits_for_ledger => if changed.is_err() { break },
                _ = tick.tick() => {}
            }
            let now = Instant::now();
            self.count_elections();
            self.check_empty_copy();
            self.parts.empty_copies.admit();
            let lead = self.determine_lead(now).await;
            let before = *self.parts.lead.borrow();
            if before != lead {
                self.parts.lead.send_replace(lead);
                self.report_lead_change(before, lead);
            }
        }
        self.parts.lead.send_replace(Lead::Nowhere);
    }

    fn count_elections(&mut self) {
        let term = self.parts.raft.server_metrics().borrow_watched().vote.leader_id.term;
        self.parts.metrics.count_terms(term.saturating_sub(self.term));
        self.term = self.term.max(term);
    }

    async fn determine_lead(&mut self, now: Instant) -> Lead {
        let patience = self.parts.timing.election_max + self.parts.timing.heartbeat * 2;
        if let Ok(leader) = self.parts.raft.as_leader() {
            let term = leader.term();
            if self.parts.empty_copies.is_joining() || self.parts.gate.is_silent(now) {
                return Lead::Nowhere;
            }
            let answered = self.parts.majority.answered_at(now);
            let answered = answered.filter(|at| now.saturating_duration_since(*at) <= patience);
            let caught_up = self.parts.state.applied_term() == Some(term);
            if caught_up && !self.parts.state.is_bootstrapped() {
                self.bootstrap_ledger().await;
            }
            let Some(answered) = answered.filter(|_| caught_up) else { return Lead::Nowhere };
            self.parts.freshness.record_quorum(answered);
            self.announce_here(term);
            return if self.parts.state.is_bootstrapped() {
                Lead::Here(term)
            } else {
                Lead::Nowhere
            };
        }
        let (leader, term) = {
            let metrics = self.parts.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            (metrics.current_leader, metrics.vote.leader_id.term)
        };
        match leader {
            Some(node) if self.parts.freshness.is_led_by((node, term), now, patience) => {
                self.announce_there(node, term);
                Lead::There(node)
            }
            _ => Lead::Nowhere,
        }
    }

    /// Proposes the first command of a cluster's journal, with the time of a majority's clocks: no
    /// entry is ever earlier, so without a majority it waits. If two primaries do it, the second
    /// command changes nothing.
    async fn bootstrap_ledger(&self) {
        let time = self.parts.clocks.majority_time(Instant::now());
        self.parts.clocks.set_bootstrap_waits(time.is_none());
        let Some(time) = time else { return };
        let mut genesis = self.parts.genesis.clone();
        genesis.first_date = calendar::date_at(time, genesis.time_zone.as_str());
        let command = codec::encode(&Command::Genesis(Box::new(genesis)));
        let mut entry = EntryBuilder::new();
        entry.push(OPERATOR_KEY, false, 1, &command);
        let batch = CommandBatch { time, body: entry.finish().into(), expected_link: None };
        let written = timeout(Duration::from_secs(5), self.parts.raft.client_write(batch)).await;
        match written {
            Ok(Ok(_)) => tracing::info!("bootstrapped the ledger"),
            Ok(Err(error)) => tracing::warn!(%error, "the ledger isn't bootstrapped yet"),
            Err(_) => tracing::warn!("the ledger isn't bootstrapped yet: no majority within 5 s"),
        }
    }

    /// A copy that began empty counts for nothing until it has caught up.
    fn check_empty_copy(&mut self) {
        if !self.parts.empty_copies.is_joining() {
            return;
        }
        if let Some(term) = self.parts.majority.led_term() {
            if self.parts.empty_copies.may_bootstrap() {
                return self.bootstrap_cluster(term);
            }
            // It forgot something while it led: the others elect.
            return self.parts.gate.fall_silent(Instant::now());
        }
        let durable = self.parts.journal.durable_position().min(self.parts.state.position());
        if self.parts.freshness.has_caught_up(durable) {
            match self.parts.empty_copies.mark_caught_up() {
                Ok(()) => {
                    tracing::info!(
                        position = durable,
                        "this copy has caught up: it votes from now on"
                    );
                    self.record_event("caught_up", json!({ "position": durable }));
                }
                Err(error) => tracing::error!(%error, "can't remove the marker of an empty copy"),
            }
        }
    }

    /// All copies began empty, and all sites elected this one. Their numbers must be on disk before
    /// anything is announced.
    fn bootstrap_cluster(&self, term: u64) {
        match self.parts.empty_copies.bootstrap(term) {
            Ok(others) => {
                let sites = others + 1;
                tracing::info!(term, sites, "the cluster's first election: every site took part");
                self.record_event("first_election", json!({ "term": term, "sites": sites }));
            }
            Err(BootstrapError::NotAll) => {
                tracing::error!(term, "elected although it began empty: not by all others");
            }
            Err(BootstrapError::Io(error)) => {
                tracing::error!(%error, "can't record the sites that took part in the first election");
            }
        }
    }

    fn announce_here(&mut self, term: u64) {
        let node = *self.parts.raft.node_id();
        if self.announced.replace((node, term)) != Some((node, term)) {
            let position = self.parts.state.position();
            tracing::info!(term, position, "this site is the primary now: a majority elected it");
            self.record_event("became_primary", json!({ "term": term, "position": position }));
        }
    }

    /// Reports once that no primary is left, and once that there's one again.
    fn report_lead_change(&mut self, before: Lead, lead: Lead) {
        match (before, lead) {
            // A handover, a silenced primary and a lost election are reported elsewhere.
            (Lead::Here(term), Lead::Nowhere)
                if self.parts.raft.is_leader() && !self.parts.gate.is_silent(Instant::now()) =>
            {
                self.leaderless = true;
                let turn = self.lines.majority.take_turn();
                self.lines.logged = turn.is_some();
                if let Some(repeated) = turn {
                    tracing::warn!(
                        term,
                        repeated,
                        "a majority doesn't answer: this site decides nothing"
                    );
                }
                self.record_event("majority_lost", json!({ "term": term }));
            }
            (Lead::There(node), Lead::Nowhere) => {
                self.leaderless = true;
                let turn = self.lines.primary.take_turn();
                self.lines.logged = turn.is_some();
                if let Some(repeated) = turn {
                    tracing::warn!(primary = node, repeated, "no primary with a majority is left");
                }
                self.record_event("primary_lost", json!({ "primary": node }));
            }
            (Lead::Nowhere, Lead::Here(_) | Lead::There(_)) if self.leaderless => {
                self.leaderless = false;
                if self.lines.logged {
                    tracing::info!("commands are decided again");
                }
                self.record_event("led_again", json!({}));
            }
            _ => {}
        }
    }

    fn announce_there(&mut self, node: u64, term: u64) {
        let before = self.announced.replace((node, term));
        if before != Some((node, term)) {
            let own = *self.parts.raft.node_id();
            if before.is_some_and(|(before, _)| before == own) {
                tracing::warn!(term, primary = node, "this site is no longer the primary");
            } else {
                tracing::info!(term, primary = node, "following a primary");
            }
            self.record_event("follows", json!({ "primary": node, "term": term }));
        }
    }

    fn record_event(&self, event: &str, details: serde_json::Value) {
        if let Some(timeline) = &self.parts.timeline {
            timeline.record(event, details);
        }
    }
}
