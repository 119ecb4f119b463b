//! Gathers requests from all doors into entries: while a few entries are in flight, the next one
//! fills.
//!
//! It never delays a request while fewer entries than the limit are in flight and the keeper isn't
//! far behind, and never keeps one beyond its deadline. A node's own request has an entry to
//! itself. So does the ledger's upkeep, with one such entry in flight at a time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel_wire::{entry::EntryBuilder, outcome::Outcome, reply::RefusalCode};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use openraft::{errors::ClientWriteError, impls::OneshotResponder, raft::ClientWriteResult};
use tokio::{sync::watch, time::Instant};

use super::{
    queue::{FilledEntry, InFlightRequest, Queue},
    sealing_pace::SealingPace,
    stamps::Stamps,
    upkeep::{AllowedChores, Chore, Upkeep},
};
use crate::replication::{
    Raft,
    engine::types::{CommandBatch, EngineTypes},
};
use crate::{
    limits::ENTRIES_IN_FLIGHT_MAX,
    metrics::Metrics,
    road::{DecidedEntry, Lead, Reply, Road, fair_queue::RequestSize},
    telemetry::panic_if_planted,
};

/// An entry that is about to be proposed, and its requests: none if it's the ledger's upkeep.
struct NextEntry {
    time: u64,
    entry: EntryBuilder,
    requests: Vec<InFlightRequest>,
    own: Option<NodeEntry>,
    /// The lookups in sealed segments that its commands need.
    lookups: usize,
}

/// The purpose of a node's own entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeEntry {
    /// Upkeep ends the day.
    EndDay,
    /// Upkeep releases holds.
    Release,
    /// An operator ends the day.
    RequestedDay,
}

/// An entry in flight.
struct InFlightEntry {
    requests: Vec<InFlightRequest>,
    lookups: usize,
    since: Instant,
    next_deadline: Instant,
}

type PendingWrite = BoxFuture<'static, (u64, Option<ClientWriteResult<EngineTypes>>)>;

/// Makes entries of waiting requests while this node is the primary.
pub struct Batcher {
    queue: Arc<Queue>,
    raft: Raft,
    road: Arc<Road>,
    stamps: Stamps,
    upkeep: Upkeep,
    pace: SealingPace,
    lead: watch::Receiver<Lead>,
    in_flight: BTreeMap<u64, InFlightEntry>,
    pending_writes: FuturesUnordered<PendingWrite>,
    next_number: u64,
    /// The entries in flight whose outcomes the upkeep needs.
    node_entries: BTreeMap<u64, NodeEntry>,
    /// The last term that this node led.
    term: Option<u64>,
    metrics: Arc<Metrics>,
}

impl Batcher {
    #[expect(clippy::too_many_arguments, reason = "its parts; each has its own name and type")]
    pub fn new(
        queue: Arc<Queue>,
        raft: Raft,
        road: Arc<Road>,
        stamps: Stamps,
        upkeep: Upkeep,
        pace: SealingPace,
        lead: watch::Receiver<Lead>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            queue,
            raft,
            road,
            stamps,
            upkeep,
            pace,
            lead,
            in_flight: BTreeMap::new(),
            pending_writes: FuturesUnordered::new(),
            next_number: 0,
            node_entries: BTreeMap::new(),
            term: None,
            metrics,
        }
    }

    /// Runs until the engine stops.
    pub async fn run(mut self) {
        let queue = self.queue.clone();
        let mut lead_changes = self.lead.clone();
        let mut lead = *self.lead.borrow();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            while matches!(lead, Lead::Here(_)) && self.in_flight.len() < ENTRIES_IN_FLIGHT_MAX {
                let Some(next) = self.next_entry(&queue) else { break };
                if !self.propose_entry(next).await {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some((number, result)) = self.pending_writes.next(), if !self.pending_writes.is_empty() => {
                    self.finish_entry(number, result);
                }
                changed = lead_changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now_lead = *lead_changes.borrow_and_update();
                    if now_lead != lead {
                        lead = now_lead;
                        self.lead_changed(lead);
                    }
                }
                () = queue.wait_for_tickets() => {
                    // Lookups before the queue may have taken longer than the lead lasted.
                    if !matches!(lead, Lead::Here(_)) {
                        self.return_waiting();
                    }
                }
                _ = tick.tick() => {
                    let now = Instant::now();
                    self.stamps.observe(now);
                    self.expire(now);
                }
            }
        }
    }

    /// The next entry, if there's something to do: upkeep first, so that a day ends before the next
    /// day's first command.
    fn next_entry(&mut self, queue: &Queue) -> Option<NextEntry> {
        let now = Instant::now();
        let free = self.allowed_chores();
        let read_due = (free.day || free.holds) && self.upkeep.is_read_due(now);
        if queue.is_empty() && !read_due {
            return None;
        }
        let time = self.stamps.next_time();
        if let Some(chore) = self.upkeep.next_chore(time, now, free) {
            tracing::debug!(?chore, "upkeep");
            let kind = match &chore {
                Chore::EndDay(_) => NodeEntry::EndDay,
                Chore::Release(_) => NodeEntry::Release,
            };
            let (entry, requests) = (chore.entry(), Vec::new());
            return Some(NextEntry { time, entry, requests, own: Some(kind), lookups: 0 });
        }
        if self.upkeep.owes_marker(now) {
            return None;
        }
        if !self.pace.may_take(now) {
            return None;
        }
        let lookups_in_flight = self.in_flight.values().map(|entry| entry.lookups).sum();
        let FilledEntry { entry, requests, lookups, .. } = queue.fill(lookups_in_flight)?;
        self.pace.note_entry(now);
        // A node's own request is alone in its entry, so the first one decides.
        let ends_day = requests.first().is_some_and(InFlightRequest::ends_day);
        let own = ends_day.then_some(NodeEntry::RequestedDay);
        Some(NextEntry { time, entry, requests, own, lookups })
    }

    /// The chores that may be proposed now: one of a kind at a time. An operator's end of a day
    /// counts as one.
    fn allowed_chores(&self) -> AllowedChores {
        let ends_day = |own: &NodeEntry| matches!(own, NodeEntry::EndDay | NodeEntry::RequestedDay);
        AllowedChores {
            day: !self.node_entries.values().any(ends_day),
            holds: self.node_entries.is_empty(),
        }
    }

    /// Proposes an entry. `false`: the engine has stopped.
    async fn propose_entry(&mut self, next: NextEntry) -> bool {
        panic_if_planted("batcher");
        let NextEntry { time, entry, requests, own, lookups } = next;
        self.stamps.record_time(time);
        let batch = CommandBatch { time, body: entry.finish().into(), expected_link: None };
        let number = self.next_number;
        self.next_number += 1;
        if let Some(own) = own {
            self.node_entries.insert(number, own);
        }
        let next_deadline = next_deadline(&requests);
        let since = Instant::now();
        self.in_flight.insert(number, InFlightEntry { requests, lookups, since, next_deadline });
        self.metrics.set_in_flight(self.in_flight.len());
        let (responder, result) = OneshotResponder::new_pair();
        if self.raft.client_write_ff(batch, Some(responder)).await.is_err() {
            self.finish_entry(number, None);
            return false;
        }
        self.pending_writes.push(result.map(move |result| (number, result.ok())).boxed());
        true
    }

    fn finish_entry(&mut self, number: u64, result: Option<ClientWriteResult<EngineTypes>>) {
        let Some(entry) = self.in_flight.remove(&number) else { return };
        let own = self.node_entries.remove(&number);
        self.metrics.set_in_flight(self.in_flight.len());
        match result {
            Some(Ok(response)) => {
                self.metrics.observe_commit(entry.since.elapsed());
                let decided = response.data.expect("an entry of commands has outcomes");
                if let Some(own) = own {
                    self.update_upkeep(own, &decided);
                }
                for InFlightRequest { ticket, first } in entry.requests {
                    let Some(ticket) = ticket else { continue };
                    let end = first + RequestSize::of(&ticket).commands;
                    ticket.reply(Reply::Decided(decided.clone(), first..end));
                }
            }
            Some(Err(ClientWriteError::ForwardToLeader(_))) => {
                self.handle_failure(entry, own, false)
            }
            Some(Err(_)) | None => self.handle_failure(entry, own, true),
        }
    }

    /// An entry has no outcome as far as this node can tell.
    fn handle_failure(&mut self, entry: InFlightEntry, own: Option<NodeEntry>, proposed: bool) {
        if own == Some(NodeEntry::EndDay) {
            self.upkeep.marker_failed(Instant::now());
        }
        self.retry_requests(entry, proposed);
    }

    /// Reports the outcome of a node's own entry to the upkeep: there may be more to do.
    fn update_upkeep(&mut self, own: NodeEntry, decided: &DecidedEntry) {
        let now = Instant::now();
        let worked = decided.answers.iter().any(|answer| {
            answer.outcome.rejection.is_none() && answer.outcome.index != Outcome::NO_INDEX
        });
        match own {
            NodeEntry::Release => self.upkeep.holds_released(worked, now),
            NodeEntry::EndDay => self.upkeep.day_changed(worked, now),
            NodeEntry::RequestedDay => self.upkeep.day_changed(true, now),
        }
    }

    /// Returns an entry's requests to the road, which finds the primary.
    fn retry_requests(&self, entry: InFlightEntry, proposed: bool) {
        for mut ticket in entry.requests.into_iter().filter_map(|request| request.ticket) {
            ticket.proposed |= proposed;
            self.road.enqueue_waiting(ticket);
        }
    }

    fn lead_changed(&mut self, lead: Lead) {
        if let Lead::Here(term) = lead {
            // Entries of an earlier term are decided by now, or never will be.
            if self.term.replace(term) != Some(term) {
                self.node_entries.clear();
            }
            // A new primary first does the upkeep that its predecessors left.
            return self.upkeep.start_term(Instant::now());
        }
        self.return_waiting();
        // Without a majority's answers this node keeps its entries in flight: they may still
        // commit.
        if matches!(lead, Lead::There(_)) {
            for (_, entry) in std::mem::take(&mut self.in_flight) {
                self.retry_requests(entry, true);
            }
            self.pending_writes.clear();
            self.node_entries.clear();
            self.metrics.set_in_flight(0);
        }
    }

    /// Returns the waiting requests to the road.
    fn return_waiting(&self) {
        for ticket in self.queue.take_all() {
            self.road.enqueue_waiting(ticket);
        }
    }

    fn expire(&mut self, now: Instant) {
        for ticket in self.queue.expire(now) {
            if ticket.proposed {
                ticket.give_up("");
            } else {
                ticket.refuse(
                    RefusalCode::Overloaded,
                    "it waited until its deadline; nothing was done",
                );
            }
        }
        for entry in self.in_flight.values_mut().filter(|entry| entry.next_deadline <= now) {
            for request in &mut entry.requests {
                if request.ticket.as_ref().is_some_and(|ticket| ticket.deadline <= now) {
                    let mut ticket = request.ticket.take().expect("checked above");
                    ticket.proposed = true;
                    ticket.give_up("");
                }
            }
            entry.next_deadline = next_deadline(&entry.requests);
        }
    }
}

fn next_deadline(requests: &[InFlightRequest]) -> Instant {
    let far = Instant::now() + Duration::from_secs(3600);
    requests
        .iter()
        .filter_map(|request| request.ticket.as_ref().map(|ticket| ticket.deadline))
        .min()
        .unwrap_or(far)
}
