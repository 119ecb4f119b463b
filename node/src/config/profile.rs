//! Profiles: heartbeat interval and election timeouts by the distance between the sites.
//!
//! The figures and their reasons: docs/decisions/0002.

use std::time::Duration;

/// The distance between the sites, which sets their timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Round trips up to 10 ms.
    Metro,
    /// Up to 50 ms.
    Region,
    /// Up to 150 ms.
    World,
}

/// The timing of heartbeats and elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Interval between the primary's heartbeats.
    pub heartbeat: Duration,
    /// Shortest time without a heartbeat before a follower starts an election.
    pub election_min: Duration,
    /// Longest such time; also the primary's lease.
    pub election_max: Duration,
}

impl Profile {
    pub const ALL: [Self; 3] = [Self::Metro, Self::Region, Self::World];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metro => "metro",
            Self::Region => "region",
            Self::World => "world",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The timing of this profile.
    #[must_use]
    pub fn timing(self) -> Timing {
        let (heartbeat, election_min, election_max) = match self {
            Self::Metro => (50, 150, 300),
            Self::Region => (250, 1_000, 1_500),
            Self::World => (500, 1_500, 2_500),
        };
        Timing {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
        }
    }
}
