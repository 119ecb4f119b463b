//! The mute gate: a primary that a majority hasn't answered for a lease stops sending, so that its
//! followers can elect another one.
//!
//! Without it a primary that can send but not receive would renew its followers' lease for ever.
//! After a silence that is long enough for an election, the gate opens a short window. If only this
//! node's inbound side was cut, it has lost the term by then; if no other node could be elected,
//! its followers receive its heartbeats again.
//!
//! It never holds back votes, and never sends or sleeps.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::majority::Majority;

/// The gate's times.
#[derive(Clone, Copy, Debug)]
pub struct GateTimes {
    /// How long a majority may stay silent before the gate closes.
    pub lease: Duration,
    /// How long it stays closed: a lease, an election and a margin.
    pub mute: Duration,
    /// How long it's open for an answer before it closes again.
    pub window: Duration,
}

/// Whether this node may send appends and heartbeats.
pub struct MuteGate {
    majority: Arc<Majority>,
    times: GateTimes,
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    cycle: MuteCycle,
    /// The term that this node leads, and since when.
    leading: Option<(u64, Instant)>,
    /// A primary that can't work sends nothing until then, so that the others elect.
    silent_until: Option<Instant>,
}

impl MuteGate {
    pub fn new(majority: Arc<Majority>, times: GateTimes) -> Self {
        Self { majority, times, state: Mutex::default() }
    }

    /// Whether this node may send appends and heartbeats now. A node that doesn't lead may: the
    /// engine has nothing to send.
    pub fn may_send(&self, now: Instant) -> bool {
        if self.is_silent(now) {
            return false;
        }
        match self.answered_since_lead(now) {
            Some(answered) => self.state().cycle.may_send(now, answered, &self.times),
            None => true,
        }
    }

    /// Sends nothing for as long as the others need to elect another primary.
    pub fn fall_silent(&self, now: Instant) {
        self.state().silent_until = Some(now + self.times.mute);
    }

    /// Whether this node is silent because it can't do a primary's work.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.state().silent_until.is_some_and(|until| now < until)
    }

    /// Whether a majority answered this primary within its lease: until the lease ends, no other
    /// node can have been elected.
    pub fn is_answered(&self, now: Instant) -> bool {
        let answered = self.majority.answered_at(now);
        answered.is_some_and(|at| now.saturating_duration_since(at) <= self.times.lease)
    }

    /// When a majority last answered this primary, or when it became one; `None` while it isn't.
    fn answered_since_lead(&self, now: Instant) -> Option<Instant> {
        let led = self.majority.led_term()?;
        let mut state = self.state();
        let since = match state.leading {
            Some((term, since)) if term == led => since,
            _ => {
                state.leading = Some((led, now));
                now
            }
        };
        drop(state);
        Some(self.majority.answered_at(now).map_or(since, |at| at.max(since)))
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Open, closed, and open for a short window, in turn. The caller brings the time.
#[derive(Debug, Default)]
struct MuteCycle {
    phase: MutePhase,
}

#[derive(Clone, Copy, Debug, Default)]
enum MutePhase {
    #[default]
    Open,
    MuteUntil(Instant),
    WindowUntil(Instant),
}

impl MuteCycle {
    /// Whether a message may leave now. `answered` is when a majority last answered this primary,
    /// or when it became one.
    fn may_send(&mut self, now: Instant, answered: Instant, times: &GateTimes) -> bool {
        let stale = now.saturating_duration_since(answered) > times.lease;
        if !stale {
            self.phase = MutePhase::Open;
            return true;
        }
        match self.phase {
            MutePhase::Open => {
                self.phase = MutePhase::MuteUntil(now + times.mute);
                false
            }
            MutePhase::MuteUntil(until) if now < until => false,
            MutePhase::MuteUntil(_) => {
                self.phase = MutePhase::WindowUntil(now + times.window);
                true
            }
            MutePhase::WindowUntil(until) if now < until => true,
            MutePhase::WindowUntil(_) => {
                self.phase = MutePhase::MuteUntil(now + times.mute);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_primary_without_answers_falls_silent_and_then_tries_again() {
        let times = GateTimes {
            lease: Duration::from_millis(300),
            mute: Duration::from_millis(700),
            window: Duration::from_millis(300),
        };
        let start = Instant::now();
        let mut cycle = MuteCycle::default();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(cycle.may_send(at(300), start, &times), "within the lease");
        assert!(!cycle.may_send(at(301), start, &times), "mute");
        assert!(!cycle.may_send(at(1000), start, &times), "still mute");
        assert!(cycle.may_send(at(1001), start, &times), "the window opens");
        assert!(cycle.may_send(at(1300), start, &times), "and stays open");
        assert!(!cycle.may_send(at(1301), start, &times), "mute again");
        assert!(cycle.may_send(at(1400), at(1350), &times), "an answer opens it for good");
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_cannot_work_is_silent_for_an_election() {
        let times = GateTimes {
            lease: Duration::from_millis(300),
            mute: Duration::from_millis(700),
            window: Duration::from_millis(300),
        };
        let gate = MuteGate::new(Arc::new(Majority::new(&[2, 3])), times);
        let now = Instant::now();
        assert!(gate.may_send(now) && !gate.is_silent(now), "it doesn't lead");
        gate.fall_silent(now);
        let at = |ms| now + Duration::from_millis(ms);
        assert!(!gate.may_send(at(699)) && gate.is_silent(at(699)));
        assert!(gate.may_send(at(700)) && !gate.is_silent(at(700)));
    }
}
