//! Faults of the sites' clocks. Each ends with the clock as it was before.

use std::time::Duration;

use tokio::time::sleep;

use super::fault::FaultTarget;
use crate::simulation::{random::Random, world::World};

/// Two hours, in milliseconds: further than an id's tolerance.
pub const HOURS: i64 = 7_200_000;
/// A clock that gains 50 s a minute, in percent.
pub const DRIFT: i64 = 83;

/// A wrong clock. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockFault {
    /// A clock steps.
    Step { who: FaultTarget, millis: i64, lasts: u64 },
    /// A clock is too fast by this percentage; −100: it stands.
    Rate { who: FaultTarget, percent: i64, lasts: u64 },
    /// All clocks step together: no other clock shows it.
    AllStep { millis: i64, lasts: u64 },
}

/// The clocks while a cluster is founded: their errors, and how long they last, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundingClocks {
    pub errors: [i64; 3],
    pub last: u64,
}

impl ClockFault {
    /// Any of them.
    pub fn random(random: &mut Random, who: FaultTarget, lasts: u64) -> Self {
        match random.below(6) {
            0 | 1 => {
                let millis = i64::try_from(random.between(0, 180_000)).expect("small") - 90_000;
                Self::Step { who, millis, lasts }
            }
            2 => {
                Self::Step { who, millis: *random.pick(&[HOURS, -HOURS, 365 * 12 * HOURS]), lasts }
            }
            3 | 4 => {
                let percent = *random.pick(&[DRIFT, -DRIFT, -100, -10, 10, 900]);
                Self::Rate { who, percent, lasts }
            }
            _ => Self::AllStep { millis: *random.pick(&[HOURS, -HOURS, 50_000, -50_000]), lasts },
        }
    }
}

impl FoundingClocks {
    /// One clock that is wrong, three that all differ, or three that are wrong together.
    pub fn random(random: &mut Random) -> Self {
        let far = *random.pick(&[HOURS, -HOURS, 365 * 12 * HOURS, 90_000, -90_000]);
        let mut errors = match random.below(3) {
            0 => [far, 0, 0],
            1 => [far, 0, -HOURS / 2],
            _ => [HOURS, HOURS, HOURS],
        };
        errors.rotate_left(usize::try_from(random.below(3)).expect("small"));
        Self { errors, last: random.between(2_000, 8_000) }
    }
}

impl World {
    /// Injects the fault and waits until it's over.
    pub(crate) async fn inject_clock_fault(&self, fault: ClockFault) {
        match fault {
            ClockFault::Step { who, millis, lasts } => {
                let site = self.target_site(who);
                site.clock.step(millis * 1_000);
                sleep(Duration::from_millis(lasts)).await;
                site.clock.step(-millis * 1_000);
            }
            ClockFault::Rate { who, percent, lasts } => {
                let site = self.target_site(who);
                site.clock.set_rate(percent);
                sleep(Duration::from_millis(lasts)).await;
                site.clock.set_rate(0);
                let gained = i64::try_from(lasts * 1_000).expect("short") * percent / 100;
                site.clock.step(-gained);
            }
            ClockFault::AllStep { millis, lasts } => {
                self.step_all_clocks(millis);
                sleep(Duration::from_millis(lasts)).await;
                self.step_all_clocks(-millis);
            }
        }
    }

    /// Steps every clock by this many milliseconds.
    pub(crate) fn step_all_clocks(&self, millis: i64) {
        self.sites.iter().for_each(|site| site.clock.step(millis * 1_000));
    }
}
