//! The mute gate: a primary that a majority hasn't answered for a lease stops talking, so that its followers may elect another.
//!
//! Without it a primary that can send but not receive keeps renewing its followers' lease for ever. After a silence that is long
//! enough for an election it opens a short window: if the cut was its own inbound side it has lost the term by then; if
//! nobody could be elected, its followers hear it again.

use std::time::Duration;

use tokio::time::Instant;

/// How long the gate waits for what.
#[derive(Clone, Copy, Debug)]
pub struct GateTimes {
    /// Silence of the majority that mutes.
    pub lease: Duration,
    /// How long it stays mute: a lease, an election, a margin.
    pub mute: Duration,
    /// How long it listens for an answer before it mutes again.
    pub window: Duration,
}

/// Decides whether this primary may send. It never sends, sleeps or reads a clock: the caller brings the time.
#[derive(Debug, Default)]
pub struct MuteGate {
    state: GateState,
}

#[derive(Clone, Copy, Debug, Default)]
enum GateState {
    #[default]
    Open,
    MuteUntil(Instant),
    WindowUntil(Instant),
}

impl MuteGate {
    /// Whether a message may leave now. `acknowledged` is when a majority last answered this primary, or when it became one.
    pub fn may_send(&mut self, now: Instant, acknowledged: Instant, times: &GateTimes) -> bool {
        let stale = now.saturating_duration_since(acknowledged) > times.lease;
        if !stale {
            self.state = GateState::Open;
            return true;
        }
        match self.state {
            GateState::Open => {
                self.state = GateState::MuteUntil(now + times.mute);
                false
            }
            GateState::MuteUntil(until) if now < until => false,
            GateState::MuteUntil(_) => {
                self.state = GateState::WindowUntil(now + times.window);
                true
            }
            GateState::WindowUntil(until) if now < until => true,
            GateState::WindowUntil(_) => {
                self.state = GateState::MuteUntil(now + times.mute);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_nobody_answers_falls_silent_and_then_tries_again() {
        let times = GateTimes {
            lease: Duration::from_millis(300),
            mute: Duration::from_millis(700),
            window: Duration::from_millis(300),
        };
        let start = Instant::now();
        let mut gate = MuteGate::default();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(gate.may_send(at(300), start, &times), "within the lease");
        assert!(!gate.may_send(at(301), start, &times), "mute");
        assert!(!gate.may_send(at(1000), start, &times), "still mute");
        assert!(gate.may_send(at(1001), start, &times), "the window opens");
        assert!(gate.may_send(at(1300), start, &times), "and stays open");
        assert!(!gate.may_send(at(1301), start, &times), "mute again");
        assert!(gate.may_send(at(1400), at(1350), &times), "an answer opens it for good");
    }
}
