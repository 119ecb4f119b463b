//! Replies on their way back to a door's stream: delivered from any thread, encoded and written by the stream's own task.

use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_wire::{
    codec, frame,
    outcome::Answer,
    reply::{self, Outcomes, Refused, ViewReply},
};
use tokio::sync::Notify;

use crate::road::{Reply, ReplySink};

/// Where replies wait. At most as many as the stream has requests under way, which its door bounds.
#[derive(Default)]
pub struct Outbox {
    replies: Mutex<Vec<(u64, Reply)>>,
    filled: Notify,
}

impl ReplySink for Outbox {
    fn deliver(&self, token: u64, reply: Reply) {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.push((token, reply));
        let first = replies.len() == 1;
        drop(replies);
        if first {
            self.filled.notify_one();
        }
    }
}

impl Outbox {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// All that wait, at least one. Cancelling the wait loses nothing.
    pub async fn take(&self) -> Vec<(u64, Reply)> {
        loop {
            let taken =
                std::mem::take(&mut *self.replies.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.filled.notified().await;
        }
    }
}

/// Puts the frame of a reply behind what `frames` holds. The token is the number that the client chose.
pub fn write_reply(number: u64, reply: Reply, frames: &mut Vec<u8>) {
    match reply {
        Reply::Decided(decided, range) => {
            let answers: Vec<Answer> = decided.answers[range].to_vec();
            let outcomes = Outcomes { number, stamp: decided.stamp, answers };
            put(reply::OUTCOMES, &outcomes, frames);
        }
        Reply::View(view, as_of) => {
            put(reply::VIEW, &ViewReply { number, as_of, view: *view }, frames);
        }
        Reply::Refused(refusal) => put(reply::REFUSED, &Refused { number, refusal }, frames),
    }
}

fn put(kind: u8, message: &impl codec::Wire, frames: &mut Vec<u8>) {
    let at = frame::start(frames, kind);
    codec::encode_into(message, frames);
    frame::finish(frames, at);
}
