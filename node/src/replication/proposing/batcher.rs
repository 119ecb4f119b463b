//! Gathers requests from all doors into entries: while a few entries are on their way to a majority, the next one fills.
//!
//! Nothing waits when the road is free. Everything that waits is bounded, and every request ends by its deadline. What nodes
//! ask for is alone in its entry, and so is the ledger's upkeep, of which one entry is under way at a time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel_wire::{entry::EntryBuilder, outcome::Outcome, reply::RefusalCode};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use openraft::{errors::ClientWriteError, impls::OneshotResponder, raft::ClientWriteResult};
use tokio::{sync::watch, time::Instant};

use super::{
    queue::{Flying, Queue, size},
    stamps::Stamps,
    upkeep::{Chore, Free, Upkeep},
};
use crate::replication::{
    Raft,
    engine::types::{Batch, Types},
};
use crate::{
    limits::ENTRIES_IN_FLIGHT_MAX,
    metrics::Metrics,
    road::{Decided, Lead, Reply, Road},
};

/// An entry that is about to be proposed, and whose requests are in it: nobody's, when it's the ledger's upkeep.
struct Next {
    time: u64,
    entry: EntryBuilder,
    requests: Vec<Flying>,
    own: Option<NodesOwn>,
}

/// What a node's own entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodesOwn {
    /// The upkeep ends a day.
    EndDay,
    /// The upkeep releases holds.
    Release,
    /// A node asked to end the day, for its operator.
    AskedDay,
}

/// An entry that is under way.
struct Flight {
    requests: Vec<Flying>,
    since: Instant,
    next_deadline: Instant,
}

type Landing = BoxFuture<'static, (u64, Option<ClientWriteResult<Types>>)>;

/// Makes entries of what waits, for as long as this node is the primary.
pub struct Batcher {
    queue: Arc<Queue>,
    raft: Raft,
    road: Arc<Road>,
    stamps: Stamps,
    upkeep: Upkeep,
    lead: watch::Receiver<Lead>,
    flights: BTreeMap<u64, Flight>,
    landings: FuturesUnordered<Landing>,
    next_flight: u64,
    /// Flights that change what the upkeep knows.
    nodes_own: BTreeMap<u64, NodesOwn>,
    /// The last term that this node led in.
    term: Option<u64>,
    metrics: Arc<Metrics>,
}

impl Batcher {
    pub fn new(
        queue: Arc<Queue>,
        raft: Raft,
        road: Arc<Road>,
        stamps: Stamps,
        upkeep: Upkeep,
        lead: watch::Receiver<Lead>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            queue,
            raft,
            road,
            stamps,
            upkeep,
            lead,
            flights: BTreeMap::new(),
            landings: FuturesUnordered::new(),
            next_flight: 0,
            nodes_own: BTreeMap::new(),
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
            while matches!(lead, Lead::Here(_)) && self.flights.len() < ENTRIES_IN_FLIGHT_MAX {
                let Some(next) = self.next_entry(&queue) else { break };
                if !self.take_off(next).await {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some((number, result)) = self.landings.next(), if !self.landings.is_empty() => {
                    self.land(number, result);
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
                () = queue.woken() => {}
                _ = tick.tick() => self.expire(Instant::now()),
            }
        }
    }

    /// The entry that is to be made now, if any: upkeep first, so that a day ends before the first command of the next.
    fn next_entry(&mut self, queue: &Queue) -> Option<Next> {
        let now = Instant::now();
        let free = self.free();
        let looks = (free.day || free.holds) && self.upkeep.wants_to_look(now);
        if queue.is_empty() && !looks {
            return None;
        }
        let time = self.stamps.look();
        if let Some(chore) = self.upkeep.due(time, now, free) {
            tracing::debug!(?chore, "upkeep");
            let kind = match &chore {
                Chore::EndDay(_) => NodesOwn::EndDay,
                Chore::Release(_) => NodesOwn::Release,
            };
            let (entry, requests) = (chore.entry(), Vec::new());
            return Some(Next { time, entry, requests, own: Some(kind) });
        }
        if self.upkeep.owes_marker(now) {
            return None;
        }
        let (entry, requests) = queue.fill()?;
        // What a node asks for is alone in its entry.
        let ends_day = requests.first().is_some_and(Flying::ends_day);
        Some(Next { time, entry, requests, own: ends_day.then_some(NodesOwn::AskedDay) })
    }

    /// What the upkeep may do: one of a kind at a time. A node may have asked for the end of a day, too.
    fn free(&self) -> Free {
        let ends_day = |own: &NodesOwn| matches!(own, NodesOwn::EndDay | NodesOwn::AskedDay);
        Free { day: !self.nodes_own.values().any(ends_day), holds: self.nodes_own.is_empty() }
    }

    /// Proposes an entry. `false`: the engine has stopped.
    async fn take_off(&mut self, next: Next) -> bool {
        let Next { time, entry, requests, own } = next;
        self.stamps.stamp(time);
        let batch = Batch { time, body: entry.finish().into(), expected_link: None };
        let number = self.next_flight;
        self.next_flight += 1;
        if let Some(own) = own {
            self.nodes_own.insert(number, own);
        }
        let next_deadline = next_deadline(&requests);
        let since = Instant::now();
        self.flights.insert(number, Flight { requests, since, next_deadline });
        self.metrics.in_flight(self.flights.len());
        let (responder, result) = OneshotResponder::new_pair();
        if self.raft.client_write_ff(batch, Some(responder)).await.is_err() {
            self.land(number, None);
            return false;
        }
        self.landings.push(result.map(move |result| (number, result.ok())).boxed());
        true
    }

    fn land(&mut self, number: u64, result: Option<ClientWriteResult<Types>>) {
        let Some(flight) = self.flights.remove(&number) else { return };
        let own = self.nodes_own.remove(&number);
        self.metrics.in_flight(self.flights.len());
        match result {
            Some(Ok(response)) => {
                self.metrics.committed(flight.since.elapsed());
                let decided = response.data.expect("an entry of commands has outcomes");
                if let Some(own) = own {
                    self.look_after(own, &decided);
                }
                for Flying { ticket, first } in flight.requests {
                    let Some(ticket) = ticket else { continue };
                    let end = first + size(&ticket).0;
                    ticket.reply(Reply::Decided(decided.clone(), first..end));
                }
            }
            Some(Err(ClientWriteError::ForwardToLeader(_))) => self.failed(flight, own, false),
            Some(Err(_)) | None => self.failed(flight, own, true),
        }
    }

    /// An entry got no outcome, so far as this node knows.
    fn failed(&mut self, flight: Flight, own: Option<NodesOwn>, proposed: bool) {
        if own == Some(NodesOwn::EndDay) {
            self.upkeep.marker_failed(Instant::now());
        }
        self.again(flight, proposed);
    }

    /// What a node's own entry came to may leave more to do.
    fn look_after(&mut self, own: NodesOwn, decided: &Decided) {
        let now = Instant::now();
        let worked = decided.answers.iter().any(|answer| {
            answer.outcome.rejection.is_none() && answer.outcome.index != Outcome::NO_INDEX
        });
        match own {
            NodesOwn::Release => self.upkeep.released(worked, now),
            NodesOwn::EndDay => self.upkeep.day_changed(worked, now),
            NodesOwn::AskedDay => self.upkeep.day_changed(true, now),
        }
    }

    /// Tries the requests of a flight again, wherever the primary is now.
    fn again(&self, flight: Flight, proposed: bool) {
        for mut ticket in flight.requests.into_iter().filter_map(|flying| flying.ticket) {
            ticket.proposed |= proposed;
            self.road.wait(ticket);
        }
    }

    fn lead_changed(&mut self, lead: Lead) {
        if let Lead::Here(term) = lead {
            // What was under way in an earlier term is decided by now, or never will be.
            if self.term.replace(term) != Some(term) {
                self.nodes_own.clear();
            }
            // In front of everything that a new primary does stands what its predecessors left undone.
            return self.upkeep.begin(Instant::now());
        }
        for ticket in self.queue.take_all() {
            self.road.wait(ticket);
        }
        // A primary that only lost sight of its majority keeps its entries under way: they may still commit.
        if matches!(lead, Lead::There(_)) {
            for (_, flight) in std::mem::take(&mut self.flights) {
                self.again(flight, true);
            }
            self.landings.clear();
            self.nodes_own.clear();
            self.metrics.in_flight(0);
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
        for flight in self.flights.values_mut().filter(|flight| flight.next_deadline <= now) {
            for flying in &mut flight.requests {
                if flying.ticket.as_ref().is_some_and(|ticket| ticket.deadline <= now) {
                    let mut ticket = flying.ticket.take().expect("looked at above");
                    ticket.proposed = true;
                    ticket.give_up("");
                }
            }
            flight.next_deadline = next_deadline(&flight.requests);
        }
    }
}

fn next_deadline(requests: &[Flying]) -> Instant {
    let far = Instant::now() + Duration::from_secs(3600);
    requests
        .iter()
        .filter_map(|flying| flying.ticket.as_ref().map(|ticket| ticket.deadline))
        .min()
        .unwrap_or(far)
}
