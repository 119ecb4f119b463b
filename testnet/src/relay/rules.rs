//! The rules for datagrams: loss, delay, rate and cuts.
//!
//! Times are in microseconds, loss in parts per million, rates in bytes a second. Never blocks and
//! never reads a clock: the caller passes the time.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_wire::id::NodeId;
use serde::{Deserialize, Serialize};

/// The longest round trip and the largest jitter of a link, in milliseconds.
pub const LINK_MS_MAX: u64 = 60_000;
/// The lowest rate of a link, in bytes a second: a datagram of the largest size in about a second.
pub const LINK_RATE_MIN: u64 = 64 << 10;
/// All datagrams are lost.
pub const LOSS_PPM_MAX: u32 = 1_000_000;

/// The conditions of the links between all sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConditions {
    /// The round trip that the relay adds, half of it each way.
    pub rtt_ms: u64,
    /// Added one way, uniformly distributed from 0 to this. Datagrams stay in order.
    pub jitter_ms: u64,
    /// Lost datagrams per million.
    pub loss_ppm: u32,
    /// Bytes a second from each site to each other one, UDP payload only; `None`: any number.
    pub rate: Option<u64>,
}

/// The directions of a site's peer traffic that are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Traffic to the site.
    pub incoming: bool,
    /// Traffic from the site.
    pub outgoing: bool,
}

impl Cut {
    /// The directions given by a verb's flags: neither flag means both.
    #[must_use]
    pub fn from_flags(incoming: bool, outgoing: bool) -> Self {
        let both = incoming == outgoing;
        Self { incoming: incoming || both, outgoing: outgoing || both }
    }
}

/// All current rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The conditions of all links.
    pub link: LinkConditions,
    /// Sites with at least one direction cut.
    pub cuts: BTreeMap<NodeId, Cut>,
}

impl Rules {
    /// Cuts directions in addition to those already cut.
    pub fn cut(&mut self, node: NodeId, cut: Cut) {
        let now = self.cuts.entry(node).or_default();
        now.incoming |= cut.incoming;
        now.outgoing |= cut.outgoing;
    }

    /// Restores directions; the others are unchanged.
    pub fn heal(&mut self, node: NodeId, cut: Cut) {
        if let Some(now) = self.cuts.get_mut(&node) {
            now.incoming &= !cut.incoming;
            now.outgoing &= !cut.outgoing;
        }
        self.cuts.retain(|_, cut| *cut != Cut::default());
    }

    /// Whether datagrams pass from one site to the other.
    #[must_use]
    pub fn is_open(&self, from: NodeId, to: NodeId) -> bool {
        let leaves = !self.cuts.get(&from).is_some_and(|cut| cut.outgoing);
        let arrives = !self.cuts.get(&to).is_some_and(|cut| cut.incoming);
        leaves && arrives
    }

    /// Whether a datagram that may pass is lost.
    pub fn is_lost(&self, chance: &mut Chance) -> bool {
        self.link.loss_ppm > 0
            && chance.below(u64::from(LOSS_PPM_MAX)) < u64::from(self.link.loss_ppm)
    }

    /// The delay of a datagram.
    pub fn delay(&self, chance: &mut Chance) -> Duration {
        let jitter_us = self.link.jitter_ms * 1_000;
        let added_us = if jitter_us > 0 { chance.below(jitter_us + 1) } else { 0 };
        Duration::from_micros(self.link.rtt_ms * 500 + added_us)
    }
}

/// Pseudorandom numbers (xorshift64*): the same seed loses the same datagrams.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15 | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        u64::try_from((u128::from(mixed) * u128::from(bound)) >> 64).expect("below a u64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: Cut = Cut { incoming: true, outgoing: false };
    const OUT: Cut = Cut { incoming: false, outgoing: true };

    #[test]
    fn a_cut_has_directions_that_are_opened_one_by_one() {
        let mut rules = Rules::default();
        rules.cut(1, Cut::from_flags(true, false));
        assert!(!rules.is_open(2, 1));
        assert!(rules.is_open(1, 2));
        rules.cut(1, OUT);
        assert!(!rules.is_open(1, 2));
        assert!(rules.is_open(2, 3));
        rules.heal(1, IN);
        assert!(rules.is_open(2, 1));
        assert!(!rules.is_open(1, 2));
        rules.heal(1, Cut::from_flags(false, false));
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn loss_and_delay_keep_to_their_figures() {
        let link = LinkConditions { rtt_ms: 20, jitter_ms: 5, loss_ppm: 100_000, rate: None };
        let rules = Rules { link, cuts: BTreeMap::new() };
        let mut chance = Chance::new(7);
        let lost = (0..100_000).filter(|_| rules.is_lost(&mut chance)).count();
        assert!((9_500..10_500).contains(&lost), "{lost} of 100,000 at 10 %");
        for _ in 0..1_000 {
            let delay = rules.delay(&mut chance);
            assert!((10_000..=15_000).contains(&delay.as_micros()), "{delay:?}");
        }
    }
}
