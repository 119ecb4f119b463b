//! Linearizable reads: all waiting reads share one round to the majority (Raft §6.4, ReadIndex),
//! then read the applied state.
//!
//! It never reads by lease: a follower that restarted may vote before the lease ends.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::journal::Journal;
use evenkeel_wire::reply::RefusalCode;
use futures_util::{FutureExt, future::BoxFuture};
use openraft::raft::ReadPolicy;
use tokio::{sync::mpsc, time::Instant};

use super::{Raft, peers::book::PeerBook, proposing::queue::Queue};
use crate::{
    admission,
    limits::QUEUED_REQUESTS_MAX,
    road::{Request, Road, RoadExit, Ticket},
    state::AppliedState,
};

/// The primary's exit of the road: commands to the batcher's queue, reads to the reader.
pub struct PrimaryExit {
    queue: Arc<Queue>,
    journal: Journal,
    book: Arc<PeerBook>,
    /// The number of sites.
    sites: usize,
    reads: mpsc::Sender<Ticket>,
}

impl PrimaryExit {
    /// The exit, and the receiving end for [`serve`].
    pub fn new(
        queue: Arc<Queue>,
        journal: Journal,
        book: Arc<PeerBook>,
        sites: usize,
    ) -> (Self, mpsc::Receiver<Ticket>) {
        let (reads, waiting) = mpsc::channel(QUEUED_REQUESTS_MAX);
        (Self { queue, journal, book, sites, reads }, waiting)
    }

    /// Why new commands are refused. Commands in flight still have room.
    fn overload_reason(&self) -> Option<&'static str> {
        if self.journal.is_disk_full() {
            return Some("the primary's disk is full; nothing was done");
        }
        // A follower can't refuse records, and stops when it has no room for them.
        let with_room = self.sites.saturating_sub(self.book.full_disks());
        (with_room <= self.sites / 2).then_some(
            "no majority of sites has room: a disk is full at the others; nothing was done",
        )
    }
}

impl RoadExit for PrimaryExit {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        match ticket.request {
            Request::Submit { .. } => match self.overload_reason() {
                Some(detail) => {
                    ticket.refuse_nothing_done(RefusalCode::Overloaded, detail);
                    Ok(())
                }
                None => self.queue.offer(ticket),
            },
            Request::Read(_) => {
                self.reads.try_send(ticket).map_err(|error| Box::new(error.into_inner()))
            }
        }
    }
}

/// Reads that wait for the majority's answer in one round.
struct ReadRound {
    tickets: Vec<Ticket>,
    confirmed: BoxFuture<'static, bool>,
}

impl ReadRound {
    fn start(raft: &Raft, tickets: Vec<Ticket>) -> Self {
        let raft = raft.clone();
        let confirmed = async move {
            let Ok(linearizer) = raft.get_read_linearizer(ReadPolicy::ReadIndex).await else {
                return false;
            };
            linearizer.await_ready(&raft).await.is_ok()
        };
        Self { tickets, confirmed: confirmed.boxed() }
    }
}

/// Answers reads until the road is gone. Reads that arrive during a round share the next one: this
/// round began before them. A silent majority never holds a read beyond its deadline.
pub async fn serve(
    mut waiting: mpsc::Receiver<Ticket>,
    raft: Raft,
    road: Arc<Road>,
    state: Arc<AppliedState>,
) {
    let mut round: Option<ReadRound> = None;
    let mut next: Vec<Ticket> = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if round.is_none() && !next.is_empty() {
            round = Some(ReadRound::start(&raft, std::mem::take(&mut next)));
        }
        let room = QUEUED_REQUESTS_MAX.saturating_sub(next.len()).min(1024);
        tokio::select! {
            biased;
            confirmed = wait_for_confirmation(&mut round) => {
                let tickets = round.take().map(|round| round.tickets);
                for ticket in tickets.into_iter().flatten() {
                    if confirmed {
                        admission::answer_ticket(&state, ticket, None);
                    } else {
                        road.enqueue_waiting(ticket);
                    }
                }
            }
            received = waiting.recv_many(&mut next, room), if room > 0 => {
                if received == 0 {
                    return;
                }
            }
            _ = tick.tick(), if round.is_some() => {
                let now = Instant::now();
                expire(&mut next, now);
                if round.as_mut().is_some_and(|round| {
                    expire(&mut round.tickets, now);
                    round.tickets.is_empty()
                }) {
                    round = None;
                }
            }
        }
    }
}

/// Whether the majority confirmed the round; waits for ever if there's none.
async fn wait_for_confirmation(round: &mut Option<ReadRound>) -> bool {
    match round {
        Some(round) => (&mut round.confirmed).await,
        None => std::future::pending().await,
    }
}

fn expire(tickets: &mut Vec<Ticket>, now: Instant) {
    if tickets.iter().all(|ticket| ticket.deadline > now) {
        return;
    }
    let (expired, rest) =
        std::mem::take(tickets).into_iter().partition(|ticket: &Ticket| ticket.deadline <= now);
    *tickets = rest;
    for ticket in expired {
        ticket.give_up("no majority of sites answered in time");
    }
}
