//! Reads of files. A transfer or a hold is read on the doors' reading threads, where callers take
//! turns; a history page reads many files, so it's read on a blocking thread. Neither delays other
//! answers or heartbeats.

use std::sync::Arc;

use evenkeel_wire::{
    reply::{AsOf, Refusal, RefusalCode, View},
    request::Query,
};
use tokio::time::{Instant, timeout_at};

use super::answer_query;
use crate::{
    history::{LookupWork, NotLookedUp, Turn},
    road::{Caller, Reply, Request, Ticket, TicketSlot},
    state::AppliedState,
};

/// Ends a read with an answer from this node's current ledger: at once, or after files were read.
/// `as_of` labels the answer of a node that may lag. At most
/// [`crate::limits::PAGES_WAITING_MAX`] pages wait at a time, none beyond its deadline, and
/// [`crate::limits::PAGE_THREADS_MAX`] are read.
pub fn answer_ticket(state: &Arc<AppliedState>, ticket: Ticket, as_of: Option<AsOf>) {
    let Request::Read(query) = ticket.request.clone() else {
        return ticket.refuse(RefusalCode::Malformed, "this isn't a read");
    };
    match source(&query) {
        Source::Memory => {
            let answer = answer_query(state, &ticket.caller, &query);
            return end_ticket(ticket, answer, as_of);
        }
        Source::Files => {
            let (caller, threads) = (ticket.caller, state.read_threads().doors);
            let slot = TicketSlot::new(ticket, &threads);
            let read = TicketRead { state: state.clone(), caller, query, slot, as_of };
            return threads.take(caller.key, 0, read);
        }
        Source::ManyFiles => {}
    }
    let Some(place) = state.try_acquire_page_slot() else {
        return end_ticket(ticket, Err(too_many_pages()), as_of);
    };
    let state = state.clone();
    tokio::spawn(async move {
        let answer = read_page(state, ticket.caller, query, ticket.deadline).await;
        end_ticket(ticket, answer, as_of);
        drop(place);
    });
}

fn end_ticket(ticket: Ticket, answer: Result<View, Refusal>, as_of: Option<AsOf>) {
    ticket.reply(match answer {
        Ok(view) => Reply::View(Box::new(view), as_of),
        Err(refusal) => Reply::Refused(refusal),
    });
}

/// A read that ends with one turn.
struct TicketRead {
    state: Arc<AppliedState>,
    caller: Caller,
    query: Query,
    slot: Arc<TicketSlot>,
    as_of: Option<AsOf>,
}

impl LookupWork for TicketRead {
    fn take_turn(&mut self) -> Turn {
        if self.slot.is_full() {
            let answer = answer_query(&self.state, &self.caller, &self.query);
            if let Some(ticket) = self.slot.take() {
                end_ticket(ticket, answer, self.as_of);
            }
        }
        Turn::Done
    }

    fn break_off(&mut self, why: NotLookedUp) {
        if let Some(ticket) = self.slot.take() {
            end_ticket(ticket, Err(why.into()), self.as_of);
        }
    }
}

/// The same for a caller that waits for the answer.
///
/// # Errors
/// As [`answer_query`]; and when too many pages are waiting.
pub async fn read_locally(
    state: &Arc<AppliedState>,
    caller: Caller,
    query: Query,
    deadline: Instant,
) -> Result<View, Refusal> {
    match source(&query) {
        Source::Memory => return answer_query(state, &caller, &query),
        Source::Files => {
            let (threads, state) = (state.read_threads().doors, state.clone());
            let answer = threads.run(caller.key, move || answer_query(&state, &caller, &query));
            return timeout_at(deadline, answer).await.map_err(|_| NotLookedUp::Busy)??;
        }
        Source::ManyFiles => {}
    }
    let _place = state.try_acquire_page_slot().ok_or_else(too_many_pages)?;
    read_page(state.clone(), caller, query, deadline).await
}

/// Where the answer to a query comes from.
#[derive(Clone, Copy)]
enum Source {
    /// The ledger: it's answered in place.
    Memory,
    /// Some files at most.
    Files,
    /// A page's files.
    ManyFiles,
}

fn source(query: &Query) -> Source {
    match query {
        Query::Transfer(_) | Query::Hold(_) => Source::Files,
        // The simulation has one thread, and its disk doesn't block.
        Query::History { .. } if cfg!(evenkeel_simulation) => Source::Memory,
        Query::History { .. } => Source::ManyFiles,
        Query::Account(_)
        | Query::Totals
        | Query::Day(_)
        | Query::Keys
        | Query::Key(_)
        | Query::Position => Source::Memory,
    }
}

async fn read_page(
    state: Arc<AppliedState>,
    caller: Caller,
    query: Query,
    deadline: Instant,
) -> Result<View, Refusal> {
    let turn = timeout_at(deadline, state.acquire_page_turn()).await;
    let turn = turn.map_err(|_| too_many_pages())?;
    let reading = tokio::task::spawn_blocking(move || {
        let view = answer_query(&state, &caller, &query);
        drop(turn);
        view
    });
    let stopping =
        |_| Refusal::new(RefusalCode::Stopping, "this site is shutting down; nothing was done");
    reading.await.map_err(stopping)?
}

fn too_many_pages() -> Refusal {
    let detail = "too many pages of histories are waiting; nothing was done";
    Refusal::new(RefusalCode::Overloaded, detail)
}
