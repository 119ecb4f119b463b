//! Linearizable reads: all that wait share one question to the majority (Raft §6.4, ReadIndex), then read what is applied.
//!
//! Never by lease: a follower that restarted may vote inside it.

use std::sync::Arc;

use evenkeel_storage::journal::Journal;
use evenkeel_wire::reply::RefusalCode;
use openraft::raft::ReadPolicy;
use tokio::{sync::mpsc, time::timeout_at};

use super::{Raft, batcher::Queue};
use crate::{
    limits::QUEUED_REQUESTS_MAX,
    road::{Errand, Exit, Reply, Road, Ticket},
    state::State,
};

/// The primary's exit of the road: commands to the batcher's queue, reads to the reader.
pub struct Here {
    queue: Arc<Queue>,
    journal: Journal,
    reads: mpsc::Sender<Ticket>,
}

impl Here {
    /// The exit, and what the reader takes from.
    pub fn new(queue: Arc<Queue>, journal: Journal) -> (Self, mpsc::Receiver<Ticket>) {
        let (reads, waiting) = mpsc::channel(QUEUED_REQUESTS_MAX);
        (Self { queue, journal, reads }, waiting)
    }
}

impl Exit for Here {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        match ticket.errand {
            Errand::Submit { .. } if self.journal.disk_full() => {
                let detail = "the primary's disk is full; nothing was done";
                ticket.refuse_nothing_done(RefusalCode::Overloaded, detail);
                Ok(())
            }
            Errand::Submit { .. } => self.queue.offer(ticket),
            Errand::Read(_) => {
                self.reads.try_send(ticket).map_err(|error| Box::new(error.into_inner()))
            }
        }
    }
}

/// Answers reads until the road is gone.
pub async fn serve(
    mut waiting: mpsc::Receiver<Ticket>,
    raft: Raft,
    road: Arc<Road>,
    state: Arc<State>,
) {
    let mut tickets = Vec::new();
    while waiting.recv_many(&mut tickets, 1024).await > 0 {
        let deadline = tickets.iter().map(|ticket| ticket.deadline).max();
        let deadline = deadline.expect("at least one was received");
        let confirmed = timeout_at(deadline, async {
            let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
            linearizer.await_ready(&raft).await.ok()
        })
        .await;
        let confirmed = matches!(confirmed, Ok(Some(_)));
        for ticket in tickets.drain(..) {
            if confirmed {
                answer(&state, ticket);
            } else {
                road.wait(ticket);
            }
        }
    }
}

/// Answers a read from this node's ledger as it stands.
pub fn answer(state: &State, ticket: Ticket) {
    let Errand::Read(query) = &ticket.errand else {
        return ticket.refuse(RefusalCode::Malformed, "not a read");
    };
    match state.query(query) {
        Ok(view) => ticket.reply(Reply::View(Box::new(view), None)),
        Err(refusal) => ticket.reply(Reply::Refused(refusal)),
    }
}
