//! A bound on the memory of all bodies together, of requests and answers: a thousand clients with
//! four megabytes each must not bring the node down. It never blocks; a body over the bound is
//! refused.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::gateway::http::answer::problem::{Code, Problem};
use crate::limits::HTTP_BODIES_BYTES_MAX;

/// The memory of all bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyMemory {
    taken: Arc<AtomicUsize>,
}

/// The memory of one body; given back when it's dropped.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    taken: Arc<AtomicUsize>,
    own: usize,
}

impl BodyMemory {
    pub(crate) fn new_reservation(&self) -> BodyReservation {
        BodyReservation { taken: self.taken.clone(), own: 0 }
    }

    /// Reserves memory for an answer, which exists already: if that's too much, later requests are
    /// refused.
    pub(crate) fn reserve_answer(&self, bytes: usize) -> BodyReservation {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        BodyReservation { taken: self.taken.clone(), own: bytes }
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Checks that there's memory for another answer.
    ///
    /// # Errors
    /// When all bodies together are over the bound.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.taken.load(Ordering::Relaxed) <= HTTP_BODIES_BYTES_MAX {
            return Ok(());
        }
        Err(too_many_bodies())
    }
}

fn too_many_bodies() -> Problem {
    Problem::new(Code::Overloaded, "too many large bodies at a time; nothing was done")
}

impl BodyReservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// When all bodies together would be over the bound.
    pub(crate) fn reserve_bytes(&mut self, bytes: usize) -> Result<(), Problem> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.own += bytes;
        if before.saturating_add(bytes) <= HTTP_BODIES_BYTES_MAX {
            return Ok(());
        }
        Err(too_many_bodies().closing())
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.own, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back() {
        let bodies = BodyMemory::default();
        let mut large = bodies.new_reservation();
        large.reserve_bytes(HTTP_BODIES_BYTES_MAX).expect("no other body is there");
        assert_eq!(
            bodies.new_reservation().reserve_bytes(1).map_err(|problem| problem.code),
            Err(Code::Overloaded)
        );
        drop(large);
        bodies
            .new_reservation()
            .reserve_bytes(HTTP_BODIES_BYTES_MAX)
            .expect("all of it was given back");
        let answer = bodies.reserve_answer(HTTP_BODIES_BYTES_MAX + 1);
        assert_eq!(bodies.check().map_err(|problem| problem.code), Err(Code::Overloaded));
        drop(answer);
        bodies.check().expect("it was written");
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
    }
}
