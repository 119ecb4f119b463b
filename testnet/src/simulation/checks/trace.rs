//! All events of a run, in order: hashed as a whole, so that two runs of a seed can be compared.
//! Important ones are also logged as text, the run's story.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// The record of one run.
pub struct Trace {
    start: Instant,
    aloud: bool,
    inner: Mutex<TraceState>,
}

struct TraceState {
    hasher: blake3::Hasher,
    events: u64,
    story: Vec<String>,
}

impl Trace {
    /// Begins now. `aloud`: prints each line of the story at once.
    #[must_use]
    pub fn new(aloud: bool) -> Self {
        let inner = TraceState { hasher: blake3::Hasher::new(), events: 0, story: Vec::new() };
        Self { start: Instant::now(), aloud, inner: Mutex::new(inner) }
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).expect("a run is short")
    }

    /// An event for the hash alone.
    pub fn event(&self, kind: u8, numbers: &[u64], bytes: &[u8]) {
        let now = self.now();
        let mut inner = self.lock_state();
        inner.hasher.update(&[kind]);
        inner.hasher.update(&now.to_le_bytes());
        for number in numbers {
            inner.hasher.update(&number.to_le_bytes());
        }
        inner.hasher.update(bytes);
        inner.events += 1;
    }

    /// An event for the hash and the story.
    pub fn log_line(&self, text: &str) {
        self.event(0, &[], text.as_bytes());
        let now = self.now();
        let line = format!("{:>7}.{:03} ms  {text}", now / 1_000, now % 1_000);
        if self.aloud {
            crate::simulation::output::print_line(&line);
        }
        self.lock_state().story.push(line);
    }

    /// The hash of everything so far, and how many events it covers.
    pub fn hash_and_count(&self) -> (String, u64) {
        let inner = self.lock_state();
        (inner.hasher.finalize().to_hex()[..32].to_owned(), inner.events)
    }

    /// The story so far.
    pub fn story(&self) -> Vec<String> {
        self.lock_state().story.clone()
    }

    fn lock_state(&self) -> std::sync::MutexGuard<'_, TraceState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
