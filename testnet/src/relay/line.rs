//! The lines between the sites, if they have a rate: one for each direction between two sites,
//! shared by all of their connections. A datagram waits in a queue until its bytes have passed;
//! one that finds the queue full is dropped, as in a router.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_wire::id::NodeId;
use tokio::time::Instant;

/// How much of a line's rate its queue holds. Routers hold 20 to 100 ms; a longer queue would
/// delay heartbeats more than any line does.
const QUEUE: Duration = Duration::from_millis(50);
/// The smallest queue, in bytes: some tens of datagrams.
const QUEUE_BYTES_MIN: u64 = 64 << 10;

/// For each direction, the time when the last accepted byte has passed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    passed_at: BTreeMap<(NodeId, NodeId), Instant>,
}

impl Lines {
    /// How long a datagram takes to pass, the queue included; `None`: the queue is full.
    pub(crate) fn send(
        &mut self,
        line: (NodeId, NodeId),
        rate: Option<u64>,
        now: Instant,
        bytes: usize,
    ) -> Option<Duration> {
        let Some(rate) = rate else { return Some(Duration::ZERO) };
        let passed_at = self.passed_at.entry(line).or_insert(now);
        let waits = passed_at.saturating_duration_since(now);
        if waits > QUEUE.max(time_of(QUEUE_BYTES_MIN, rate)) {
            return None;
        }
        let passes = waits + time_of(u64::try_from(bytes).unwrap_or(u64::MAX), rate);
        *passed_at = now + passes;
        Some(passes)
    }
}

/// The time that this many bytes take.
fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_its_rate_and_its_queue_is_short() {
        let (mut lines, start, rate) = (Lines::default(), Instant::now(), Some(5_000_000));
        let (mut carried, mut dropped) = (0, 0);
        // Ten times the rate for two seconds.
        for tick in 0..20_000_u32 {
            let now = start + Duration::from_micros(100) * tick;
            for _ in 0..5 {
                match lines.send((1, 2), rate, now, 1_000) {
                    Some(delay) => {
                        assert!(delay <= QUEUE + Duration::from_millis(1), "{delay:?}");
                        carried += 1_000;
                    }
                    None => dropped += 1_000,
                }
            }
        }
        assert!((9_900_000..=10_300_000).contains(&carried), "{carried} bytes in 2 s");
        assert_eq!(carried + dropped, 100_000_000);
        let late = start + Duration::from_secs(2);
        assert!(lines.send((2, 1), rate, late, 1_000) < Some(Duration::from_millis(1)));
        assert_eq!(lines.send((1, 2), None, late, 1_000), Some(Duration::ZERO));
    }
}
