//! A log line that would repeat: it's written once, then once a minute with the number of
//! repetitions in between.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// At least this much time is between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// When one line may be written again.
#[derive(Debug, Default)]
pub struct FoldedLine {
    last: Mutex<Option<(Instant, u64)>>,
}

impl FoldedLine {
    /// Whether to write the line now: the number of repetitions since the last time.
    pub fn take_turn(&self) -> Option<u64> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((at, repeated)) if now.saturating_duration_since(*at) < EVERY => {
                *repeated += 1;
                None
            }
            found => Some(found.replace((now, 0)).map_or(0, |(_, repeated)| repeated)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_once_a_minute_and_says_how_often_it_came() {
        let line = FoldedLine::default();
        assert_eq!(line.take_turn(), Some(0));
        for _ in 0..1_199 {
            tokio::time::advance(Duration::from_millis(50)).await;
            assert_eq!(line.take_turn(), None);
        }
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(line.take_turn(), Some(1_199));
    }
}
