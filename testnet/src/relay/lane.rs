//! One direction between two sites: datagrams in flight, in the order of their arrival.
//!
//! Bounded in bytes: a datagram that finds the lane full is dropped, as in a router.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The most bytes in one lane: 300 MB/s for a fifth of a second.
pub(crate) const LANE_BYTES_MAX: usize = 64 << 20;

/// A queue of datagrams in flight.
#[derive(Debug)]
pub(crate) struct Lane {
    waiting: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    last_due: Instant,
}

impl Lane {
    pub(crate) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, last_due: now }
    }

    /// Whether a datagram without delay can be sent immediately without overtaking another one.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues a datagram; `false` when the lane is full.
    pub(crate) fn push(&mut self, now: Instant, delay: Duration, datagram: &[u8]) -> bool {
        if self.bytes + datagram.len() > LANE_BYTES_MAX {
            return false;
        }
        // Never due before the previous datagram: jitter must not reorder.
        let due = (now + delay).max(self.last_due);
        self.last_due = due;
        self.bytes += datagram.len();
        self.waiting.push_back((due, datagram.to_vec()));
        true
    }

    /// When the next datagram is due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// The next datagram, if it's due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (due, _) = self.waiting.front()?;
        if *due > now {
            return None;
        }
        let (_, datagram) = self.waiting.pop_front()?;
        self.bytes -= datagram.len();
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_in_order_whatever_their_delays() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut lane = Lane::new(start);
        assert!(lane.push(start, ms(9), b"first"));
        assert!(lane.push(start + ms(1), ms(2), b"second"));
        assert_eq!(lane.pop(start + ms(8)), None);
        assert_eq!(lane.due_at(), Some(start + ms(9)));
        assert_eq!(lane.pop(start + ms(9)), Some(b"first".to_vec()));
        assert_eq!(lane.pop(start + ms(9)), Some(b"second".to_vec()));
        assert!(lane.is_empty());
    }

    #[test]
    fn a_full_lane_drops() {
        let start = Instant::now();
        let mut lane = Lane::new(start);
        let big = vec![0; LANE_BYTES_MAX / 2];
        assert!(lane.push(start, Duration::ZERO, &big));
        assert!(lane.push(start, Duration::ZERO, &big));
        assert!(!lane.push(start, Duration::ZERO, b"one more"));
        assert!(lane.pop(start).is_some());
        assert!(lane.push(start, Duration::ZERO, b"one more"));
    }
}
