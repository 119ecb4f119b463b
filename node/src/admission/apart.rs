//! Reads that take their time. A page of a history is many reads of files: whoever answers everybody, or sends the
//! heartbeats, must not wait for it, so it's read on a thread of its own.

use std::sync::Arc;

use evenkeel_wire::{
    reply::{Refusal, RefusalCode, View},
    request::Query,
};

use super::read;
use crate::{road::Caller, state::State};

/// Answers as [`read`] does and hands the answer over: at once, or for a page when it's read. At most
/// [`crate::limits::PAGES_WAITING_MAX`] pages wait at a time.
pub fn read_apart(
    state: &Arc<State>,
    caller: Caller,
    query: Query,
    reply: impl FnOnce(Result<View, Refusal>) + Send + 'static,
) {
    // A simulation has one thread, and its disk doesn't wait.
    if cfg!(evenkeel_simulation) || !matches!(query, Query::History { .. }) {
        return reply(read(state, &caller, &query));
    }
    let Some(place) = state.place_for_a_page() else {
        let detail = "too many pages of histories are asked for; nothing was done";
        return reply(Err(Refusal::new(RefusalCode::Overloaded, detail)));
    };
    let state = state.clone();
    tokio::task::spawn_blocking(move || {
        reply(read(&state, &caller, &query));
        drop(place);
    });
}
