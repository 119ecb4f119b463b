//! Bounds on the memory of all bodies together: one for requests, one for answers. A thousand
//! clients with four megabytes each must not bring the node down, clients that don't read must not
//! keep others from sending, and no key takes all of either. It never blocks; a body over a bound
//! is refused, and an answer before it's paid for.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{body::Body, http::Response};
use evenkeel_wire::id::KeyId;

use crate::{
    gateway::http::answer::problem::{Code, Problem},
    limits::{HTTP_ANSWERS_BYTES_MAX, HTTP_BODIES_BYTES_MAX},
    road::shares::{KeyShare, KeyShares},
};

/// The memory of all bodies.
#[derive(Clone, Debug)]
pub(crate) struct BodyMemory {
    requests: KeyShares,
    answers: KeyShares,
}

/// The memory of one request's body; given back when it's dropped.
#[derive(Debug)]
pub(crate) struct BodyReservation(KeyShare);

/// The memory of one answer; given back when it's dropped. It travels with the response.
#[derive(Clone, Debug)]
pub(crate) struct AnswerReservation(Arc<Mutex<KeyShare>>);

impl Default for BodyMemory {
    fn default() -> Self {
        Self {
            requests: KeyShares::new(HTTP_BODIES_BYTES_MAX),
            answers: KeyShares::new(HTTP_ANSWERS_BYTES_MAX),
        }
    }
}

impl BodyMemory {
    pub(crate) fn new_reservation(&self, key: KeyId) -> BodyReservation {
        BodyReservation(self.requests.share_of(key))
    }

    /// Reserves memory for an answer that isn't made yet.
    ///
    /// # Errors
    /// When answers that wait for their readers take too much.
    pub(crate) fn reserve_answer(
        &self,
        key: KeyId,
        bytes: usize,
    ) -> Result<AnswerReservation, Problem> {
        let share = self.answers.take(key, bytes).ok_or_else(|| {
            let detail = "too many large answers wait for their readers; nothing was done";
            Problem::new(Code::Overloaded, detail)
        })?;
        Ok(AnswerReservation(Arc::new(Mutex::new(share))))
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> (usize, usize) {
        (self.requests.taken(), self.answers.taken())
    }
}

impl BodyReservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// When all bodies together, or those of one key, would be over the bound.
    pub(crate) fn reserve_bytes(&mut self, bytes: usize) -> Result<(), Problem> {
        if self.0.grow(bytes) {
            return Ok(());
        }
        let detail = "too many large bodies at a time; nothing was done";
        Err(Problem::new(Code::Overloaded, detail).closing())
    }
}

impl AnswerReservation {
    /// Keeps the reservation until the answer is sent.
    pub(crate) fn attach(self, mut response: Response<Body>) -> Response<Body> {
        response.extensions_mut().insert(self);
        response
    }

    /// Gives back what the answer doesn't need.
    pub(crate) fn shrink_to(&self, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shrink_to(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: usize = HTTP_BODIES_BYTES_MAX / 4 * 3;

    fn code<T>(result: Result<T, Problem>) -> Option<Code> {
        result.err().map(|problem| problem.code)
    }

    #[test]
    fn slow_readers_take_nothing_from_senders_and_a_key_takes_nothing_from_another() {
        let bodies = BodyMemory::default();
        let answer = bodies.reserve_answer(KeyId(1), SHARE).expect("no other answer is there");
        assert_eq!(code(bodies.reserve_answer(KeyId(1), 1)), Some(Code::Overloaded));
        bodies.reserve_answer(KeyId(2), 4 << 20).expect("another key's share");
        let mut large = bodies.new_reservation(KeyId(1));
        large.reserve_bytes(SHARE).expect("bodies have a budget of their own");
        assert_eq!(code(large.reserve_bytes(1)), Some(Code::Overloaded));
        bodies.new_reservation(KeyId(2)).reserve_bytes(4 << 20).expect("another key's share");
        assert_eq!(bodies.taken(), (SHARE, SHARE));
        answer.shrink_to(10);
        assert_eq!(bodies.taken().1, 10);
        drop((answer, large));
        assert_eq!(bodies.taken(), (0, 0));
    }
}
