//! Reads that may be slow. A history page reads many files, so it's read on a blocking thread: it
//! never delays other answers or heartbeats.

use std::sync::Arc;

use evenkeel_wire::{
    reply::{AsOf, Refusal, RefusalCode, View},
    request::Query,
};
use tokio::time::{Instant, timeout_at};

use super::answer_query;
use crate::{
    road::{Caller, Reply, Request, Ticket},
    state::AppliedState,
};

/// Ends a read with an answer from this node's current ledger: at once, or for a page after it's
/// read. `as_of` labels the answer of a node that may lag. At most
/// [`crate::limits::PAGES_WAITING_MAX`] pages wait at a time, none beyond its deadline, and
/// [`crate::limits::PAGE_THREADS_MAX`] are read.
pub fn answer_ticket(state: &Arc<AppliedState>, ticket: Ticket, as_of: Option<AsOf>) {
    let Request::Read(query) = ticket.request.clone() else {
        return ticket.refuse(RefusalCode::Malformed, "this isn't a read");
    };
    if is_quick(&query) {
        let answer = answer_query(state, &ticket.caller, &query);
        return end_ticket(ticket, answer, as_of);
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
    if is_quick(&query) {
        return answer_query(state, &caller, &query);
    }
    let _place = state.try_acquire_page_slot().ok_or_else(too_many_pages)?;
    read_page(state.clone(), caller, query, deadline).await
}

/// Whether a query is fast enough to be answered in place. The simulation has one thread, and its
/// disk doesn't block.
fn is_quick(query: &Query) -> bool {
    cfg!(evenkeel_simulation) || !matches!(query, Query::History { .. })
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
