//! A primary and the copies that began empty. Such a copy takes nothing from a primary until it's welcomed, and a primary
//! welcomes only when it's certainly the newest one: after a majority of the others has answered it since the copy came.
//!
//! Without that, a primary that lost its office behind a cut, and the empty copy that has forgotten electing its successor,
//! would be a majority of two that commits what nobody else knows (docs/decisions/0004).
//!
//! A copy whose predecessor had acknowledged records in this very term is never welcomed in it: the engine takes for granted
//! that they are there. Only another primary can fill it.

use std::collections::BTreeMap;

use evenkeel_wire::{id::NodeId, peer::Admittance};
use tokio::time::Instant;

/// The copies that a primary has met in its term.
#[derive(Debug, Default)]
pub struct Admittances {
    term: u64,
    copies: BTreeMap<NodeId, KnownCopy>,
}

#[derive(Clone, Copy, Debug)]
struct KnownCopy {
    copy: u64,
    /// When it was seen first.
    at: Instant,
    admittance: Option<Admittance>,
}

/// What a primary knows of itself and a copy at the moment.
#[derive(Clone, Copy, Debug)]
pub struct CopyStanding {
    /// The newest moment of which a majority has answered something that was said then or later.
    pub confirmed: Option<Instant>,
    /// Whether the site acknowledged anything in this term.
    pub acknowledged: bool,
    /// Whether the copy took part in the first election, by this node's memory.
    pub founder: bool,
}

impl Admittances {
    /// The word for a site, if it may be given.
    pub fn admittance_of(&self, term: u64, node: NodeId) -> Option<Admittance> {
        let met = self.copies.get(&node).filter(|_| self.term == term)?;
        met.admittance
    }

    /// A copy says that it's there and unwelcome. `true`: it's seen for the first time.
    pub fn record_copy(&mut self, term: u64, node: NodeId, copy: u64, now: Instant) -> bool {
        if self.term != term {
            *self = Self { term, copies: BTreeMap::new() };
        }
        let known = self.copies.get(&node).is_some_and(|met| met.copy == copy);
        if !known {
            self.copies.insert(node, KnownCopy { copy, at: now, admittance: None });
        }
        !known
    }

    /// Welcomes who may be.
    pub fn admit_eligible(&mut self, term: u64, standing: impl Fn(NodeId, u64) -> CopyStanding) {
        if self.term != term {
            return;
        }
        for (node, met) in self.copies.iter_mut().filter(|(_, met)| met.admittance.is_none()) {
            let CopyStanding { confirmed, acknowledged, founder } = standing(*node, met.copy);
            if founder || (!acknowledged && confirmed.is_some_and(|at| at > met.at)) {
                met.admittance = Some(Admittance { copy: met.copy, founder });
            }
        }
    }

    /// The sites whose copies wait.
    pub fn waiting(&self, term: u64) -> Vec<NodeId> {
        let waiting = self.copies.iter().filter(|(_, met)| met.admittance.is_none());
        if self.term == term { waiting.map(|(node, _)| *node).collect() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STALE: CopyStanding =
        CopyStanding { confirmed: None, acknowledged: false, founder: false };

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_welcome_when_a_majority_has_answered_since_it_came() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let mut welcomes = Admittances::default();
        assert!(welcomes.record_copy(3, 2, 77, at(100).unwrap()));
        for confirmed in [None, at(50), at(100)] {
            welcomes.admit_eligible(3, |_, _| CopyStanding { confirmed, ..STALE });
            assert_eq!(
                welcomes.admittance_of(3, 2),
                None,
                "{confirmed:?}: a stale primary could say that"
            );
        }
        assert!(!welcomes.record_copy(3, 2, 77, at(200).unwrap()), "asking again changes nothing");
        welcomes.admit_eligible(3, |_, _| CopyStanding { confirmed: at(101), ..STALE });
        assert_eq!(welcomes.admittance_of(3, 2), Some(Admittance { copy: 77, founder: false }));
        assert_eq!((welcomes.admittance_of(4, 2), welcomes.admittance_of(3, 1)), (None, None));

        assert!(welcomes.record_copy(3, 2, 78, at(300).unwrap()), "its disk was lost once more");
        assert_eq!(welcomes.admittance_of(3, 2), None);
        assert_eq!(welcomes.waiting(3), [2]);
        assert!(welcomes.record_copy(4, 2, 78, at(400).unwrap()), "another term");
        assert!(welcomes.waiting(3).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_in_this_term_keeps_a_copy_out_unless_it_forgot_nothing() {
        let start = Instant::now();
        let confirmed = Some(start + Duration::from_secs(1));
        let mut welcomes = Admittances::default();
        welcomes.record_copy(3, 2, 77, start);
        welcomes.admit_eligible(3, |_, _| CopyStanding {
            confirmed,
            acknowledged: true,
            founder: false,
        });
        assert_eq!(welcomes.admittance_of(3, 2), None);
        welcomes.admit_eligible(3, |_, _| CopyStanding { founder: true, ..STALE });
        assert_eq!(welcomes.admittance_of(3, 2), Some(Admittance { copy: 77, founder: true }));
    }
}
