//! Linearizable reads: all waiting reads share one round to the majority (Raft §6.4, ReadIndex),
//! then read the applied state.
//!
//! It never reads by lease: a follower that restarted may vote before the lease ends.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use openraft::raft::ReadPolicy;
use tokio::{sync::mpsc, time::Instant};

use super::Raft;
use crate::{
    admission,
    limits::QUEUED_REQUESTS_MAX,
    road::{Road, Ticket},
    state::AppliedState,
};

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
