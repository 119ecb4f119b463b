//! The outbox of a door's stream: its requests in flight and the replies on their way back. Replies
//! are delivered from any thread; only the stream's own task encodes and writes them. It never
//! drops a reply.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_wire::{
    codec, frame,
    outcome::Answer,
    reply::{self, Outcomes, Refused, ViewReply},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    metrics::DoorMetrics,
    road::{Reply, ReplySink, shares::KeyShare},
};

/// The waiting replies. Their number is bounded by the stream's requests in flight, which the door
/// bounds.
pub struct Outbox {
    state: Mutex<OutboxState>,
    filled: Notify,
    metrics: Arc<DoorMetrics>,
}

#[derive(Default)]
struct OutboxState {
    /// Requests in flight; a token is an index into this list.
    requests: Vec<PendingRequest>,
    /// Free slots.
    free: Vec<u64>,
    replies: Vec<(u64, Reply)>,
}

struct PendingRequest {
    /// Chosen by the client, which may use a number twice.
    number: u64,
    since: Instant,
    /// The memory of its reply.
    room: Option<KeyShare>,
}

/// A reply on its way back. The memory that is reserved for it is given back when it's dropped.
pub struct PendingReply {
    /// The number that the client chose.
    pub number: u64,
    pub reply: Reply,
    /// Kept until the reply is written.
    pub room: Option<KeyShare>,
}

impl ReplySink for Outbox {
    fn deliver(&self, token: u64, reply: Reply) {
        let mut state = self.state();
        state.replies.push((token, reply));
        let first = state.replies.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }
}

impl Outbox {
    pub fn new(metrics: Arc<DoorMetrics>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), filled: Notify::new(), metrics })
    }

    fn state(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request; its reply is delivered with this token, exactly once.
    pub fn begin(&self, number: u64) -> u64 {
        self.state().begin(PendingRequest { number, since: Instant::now(), room: None })
    }

    /// Reserves memory for the reply to a request.
    pub fn reserve(&self, token: u64, room: KeyShare) {
        self.state().requests[slot_index(token)].room = Some(room);
    }

    /// All waiting replies, at least one. Cancelling the wait loses nothing.
    pub async fn take_replies(&self) -> Vec<PendingReply> {
        loop {
            let taken = self.try_take_replies();
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    fn try_take_replies(&self) -> Vec<PendingReply> {
        let mut state = self.state();
        if state.replies.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let replies = std::mem::take(&mut state.replies);
        let mut ended = Vec::with_capacity(replies.len());
        for (token, reply) in replies {
            let (number, since, room) = state.end(token);
            self.metrics.observe_answer(now.saturating_duration_since(since));
            ended.push(PendingReply { number, reply, room });
        }
        drop(state);
        for PendingReply { reply, .. } in &ended {
            if let Reply::Refused(refusal) = reply {
                self.metrics.count_refusal(refusal.code.name());
            }
        }
        ended
    }
}

impl OutboxState {
    fn begin(&mut self, request: PendingRequest) -> u64 {
        if let Some(token) = self.free.pop() {
            self.requests[slot_index(token)] = request;
            return token;
        }
        self.requests.push(request);
        u64::try_from(self.requests.len() - 1).expect("an index in memory fits 64 bits")
    }

    fn end(&mut self, token: u64) -> (u64, Instant, Option<KeyShare>) {
        self.free.push(token);
        let request = &mut self.requests[slot_index(token)];
        (request.number, request.since, request.room.take())
    }
}

fn slot_index(token: u64) -> usize {
    usize::try_from(token).expect("this outbox issued the token")
}

/// Appends a reply's frame to `frames`. The number is the one that the client chose.
pub fn write_reply(number: u64, reply: Reply, frames: &mut Vec<u8>) {
    match reply {
        Reply::Decided(decided, range) => {
            let answers: Vec<Answer> = decided.answers[range].to_vec();
            let outcomes = Outcomes { number, stamp: decided.stamp, answers };
            append_frame(reply::OUTCOMES, &outcomes, frames);
        }
        Reply::View(view, as_of) => {
            append_frame(reply::VIEW, &ViewReply { number, as_of, view: *view }, frames);
        }
        Reply::Refused(refusal) => {
            append_frame(reply::REFUSED, &Refused { number, refusal }, frames)
        }
    }
}

fn append_frame(kind: u8, message: &impl codec::WireEncode, frames: &mut Vec<u8>) {
    let at = frame::start(frames, kind);
    codec::encode_into(message, frames);
    frame::finish(frames, at);
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::reply::{Refusal, RefusalCode};

    use super::*;
    use crate::metrics::{DoorKind, Metrics, Reading};

    fn refused(outbox: &Outbox, token: u64) {
        let refusal = Refusal::new(RefusalCode::Overloaded, "full");
        outbox.deliver(token, Reply::Refused(refusal));
    }

    async fn numbers(outbox: &Outbox) -> Vec<u64> {
        outbox.take_replies().await.into_iter().map(|reply| reply.number).collect()
    }

    #[tokio::test]
    async fn replies_find_the_number_that_the_client_chose_even_twice_and_places_are_used_again() {
        let metrics = Metrics::new();
        let outbox = Outbox::new(metrics.door(DoorKind::Quic).clone());
        let first: Vec<u64> = [7, 7, u64::MAX].map(|number| outbox.begin(number)).into();
        refused(&outbox, first[2]);
        refused(&outbox, first[0]);
        assert_eq!(numbers(&outbox).await, [u64::MAX, 7]);
        let second: Vec<u64> = [1, 2].map(|number| outbox.begin(number)).into();
        for token in [second[1], first[1], second[0]] {
            refused(&outbox, token);
        }
        assert_eq!(numbers(&outbox).await, [2, 7, 1]);
        assert_eq!(outbox.state().requests.len(), 3, "no more than were in flight at a time");
        let text = metrics.scrape(&Reading::default());
        for line in [
            "evenkeel_refusals_total{code=\"overloaded\",door=\"quic\"} 5",
            "evenkeel_request_duration_seconds_count{door=\"quic\"} 5",
            "evenkeel_request_duration_seconds_count{door=\"forward\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} isn't in\n{text}");
        }
    }
}
