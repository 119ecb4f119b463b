//! How fast the primary may make entries while its keeper is behind with sealing.
//!
//! What isn't sealed is held in memory and replayed by the next start, so it has a bound. The
//! keeper runs at the lowest priority: under full load only a slower road gives it time. So the
//! primary pauses between entries, the longer the further its keeper is behind, and takes no
//! commands at the bound; its queue fills, and doors answer `overloaded`.
//!
//! For the primary its own keeper counts, for a follower its own: a follower at the bound accepts
//! records only when a segment was sealed. It lags, and a majority goes on without it; if it's part
//! of every majority, the road slows to its keeper's rate.

use std::{io, time::Duration};

use evenkeel_storage::journal::Journal;
use tokio::time::{Instant, sleep};

use crate::limits::{
    FOLLOWER_HELD_MAX, UNSEALED_BYTES_MAX, UNSEALED_BYTES_SLOW, UNSEALED_PAUSE_MAX,
};

/// How often a follower that holds records back looks whether a segment was sealed.
const FOLLOWER_LOOKS_EVERY: Duration = Duration::from_millis(20);

/// The pause between entries.
pub struct SealingPace {
    journal: Journal,
    last_entry: Option<Instant>,
    is_held: bool,
}

impl SealingPace {
    pub fn new(journal: Journal) -> Self {
        Self { journal, last_entry: None, is_held: false }
    }

    /// Whether commands may be taken from the queue now.
    pub(crate) fn may_take(&mut self, now: Instant) -> bool {
        let pause = pause_after(self.journal.unsealed_bytes());
        let is_held = pause.is_none();
        if is_held && !self.is_held {
            tracing::error!(
                "this primary's keeper is too far behind with sealing the journal: no commands are \
                 taken until it has sealed a segment"
            );
        }
        self.is_held = is_held;
        let Some(pause) = pause else { return false };
        self.last_entry.is_none_or(|last| now.saturating_duration_since(last) >= pause)
    }

    /// Notes that an entry was made.
    pub(crate) fn note_entry(&mut self, now: Instant) {
        self.last_entry = Some(now);
    }
}

/// Waits until a follower's keeper isn't too far behind to accept more records.
///
/// # Errors
/// When no segment is sealed in [`FOLLOWER_HELD_MAX`]: the lane ends, and the primary sends the
/// records again.
pub(crate) async fn await_sealed(unsealed: impl Fn() -> u64) -> io::Result<()> {
    let since = Instant::now();
    while unsealed() >= UNSEALED_BYTES_MAX {
        if since.elapsed() >= FOLLOWER_HELD_MAX {
            let why = "this node's keeper is too far behind with sealing the journal";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
        }
        sleep(FOLLOWER_LOOKS_EVERY).await;
    }
    Ok(())
}

/// The pause after an entry; `None`: until a segment is sealed.
fn pause_after(unsealed: u64) -> Option<Duration> {
    const RANGE: u64 = UNSEALED_BYTES_MAX - UNSEALED_BYTES_SLOW;
    if unsealed >= UNSEALED_BYTES_MAX {
        return None;
    }
    let over = unsealed.saturating_sub(UNSEALED_BYTES_SLOW);
    // In kibibytes, so that both fit in 32 bits.
    let (over, range) = (over >> 10, RANGE >> 10);
    let part = u32::try_from(over).unwrap_or(u32::MAX);
    Some(UNSEALED_PAUSE_MAX * part / u32::try_from(range).unwrap_or(u32::MAX))
}

const _: () = assert!(UNSEALED_BYTES_SLOW < UNSEALED_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_follower_at_the_bound_waits_for_its_keeper() {
        let start = Instant::now();
        await_sealed(|| UNSEALED_BYTES_MAX - 1).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        let sealed_after = Duration::from_millis(500);
        let unsealed = || UNSEALED_BYTES_MAX - u64::from(start.elapsed() >= sealed_after);
        await_sealed(unsealed).await.unwrap();
        assert_eq!(start.elapsed(), sealed_after);
        let error = await_sealed(|| UNSEALED_BYTES_MAX).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(start.elapsed(), sealed_after + FOLLOWER_HELD_MAX);
    }

    #[test]
    fn the_pause_grows_with_what_is_not_sealed_and_ends_in_a_hold() {
        assert_eq!(pause_after(0), Some(Duration::ZERO));
        assert_eq!(pause_after(UNSEALED_BYTES_SLOW), Some(Duration::ZERO));
        let middle = (UNSEALED_BYTES_SLOW + UNSEALED_BYTES_MAX) / 2;
        assert_eq!(pause_after(middle), Some(UNSEALED_PAUSE_MAX / 2));
        let steps = (0..1_000).map(|part| UNSEALED_BYTES_MAX / 1_000 * part);
        let pauses: Vec<_> = steps.map(|bytes| pause_after(bytes).unwrap()).collect();
        assert!(pauses.is_sorted());
        assert!(pause_after(UNSEALED_BYTES_MAX - 1).unwrap() > UNSEALED_PAUSE_MAX * 9 / 10);
        assert_eq!(pause_after(UNSEALED_BYTES_MAX), None);
        assert_eq!(pause_after(u64::MAX), None);
    }
}
