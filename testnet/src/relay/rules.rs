//! What the relay does to a datagram: loses it, delays it, or lets no more through.
//!
//! Times in microseconds, loss in parts per million. Never blocks and never asks a clock: time is handed in.

use std::{collections::BTreeMap, time::Duration};

use evenkeel_wire::id::NodeId;
use serde::{Deserialize, Serialize};

/// The longest round trip and the widest jitter that a link can be given, milliseconds.
pub const LINK_MS_MAX: u64 = 60_000;
/// All of them are lost.
pub const LOSS_PPM_MAX: u32 = 1_000_000;

/// How the links between all sites are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConditions {
    /// The round trip that the relay adds; half of it each way.
    pub rtt_ms: u64,
    /// Added one way, evenly spread from nothing to this. Datagrams stay in order.
    pub jitter_ms: u64,
    /// Lost, of a million.
    pub loss_ppm: u32,
}

/// Which directions of a site's peer traffic are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Nothing reaches the site.
    pub incoming: bool,
    /// Nothing leaves it.
    pub outgoing: bool,
}

impl Cut {
    /// The directions that a verb names: neither flag means both.
    #[must_use]
    pub fn from_flags(incoming: bool, outgoing: bool) -> Self {
        let both = incoming == outgoing;
        Self { incoming: incoming || both, outgoing: outgoing || both }
    }
}

/// All rules that hold at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// All links.
    pub link: LinkConditions,
    /// Sites with at least one direction cut.
    pub cuts: BTreeMap<NodeId, Cut>,
}

impl Rules {
    /// Cuts directions in addition to those that are cut already.
    pub fn cut(&mut self, node: NodeId, cut: Cut) {
        let now = self.cuts.entry(node).or_default();
        now.incoming |= cut.incoming;
        now.outgoing |= cut.outgoing;
    }

    /// Opens directions; the others stay as they are.
    pub fn heal(&mut self, node: NodeId, cut: Cut) {
        if let Some(now) = self.cuts.get_mut(&node) {
            now.incoming &= !cut.incoming;
            now.outgoing &= !cut.outgoing;
        }
        self.cuts.retain(|_, cut| *cut != Cut::default());
    }

    /// Whether anything gets from one site to the other.
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

    /// How long a datagram is on the way.
    pub fn delay(&self, chance: &mut Chance) -> Duration {
        let jitter_us = self.link.jitter_ms * 1_000;
        let added_us = if jitter_us > 0 { chance.below(jitter_us + 1) } else { 0 };
        Duration::from_micros(self.link.rtt_ms * 500 + added_us)
    }
}

/// Chance from a seed (xorshift64*): the same seed loses the same datagrams.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
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
        let link = LinkConditions { rtt_ms: 20, jitter_ms: 5, loss_ppm: 100_000 };
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
