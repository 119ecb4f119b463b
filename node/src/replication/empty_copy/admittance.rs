//! A primary and the copies that began empty. Such a copy takes nothing from a primary until it's
//! admitted, and a primary admits it only when it's certainly the newest primary: after a majority
//! of the others has answered it since it met the copy.
//!
//! Otherwise a primary that was deposed behind a cut, and the empty copy that has forgotten that it
//! elected the successor, would be a majority of two that commits records unknown to the rest
//! (docs/decisions/0004).
//!
//! A copy whose predecessor had acknowledged records in this very term is never admitted in it: the
//! engine assumes that those records are there. Only another primary can fill it.

use std::collections::BTreeMap;

use evenkeel_wire::id::NodeId;
use tokio::time::Instant;

/// The empty copies that a primary has met in its term.
#[derive(Debug, Default)]
pub(super) struct Admittances {
    term: u64,
    copies: BTreeMap<NodeId, KnownCopy>,
}

#[derive(Clone, Copy, Debug)]
struct KnownCopy {
    copy: u64,
    /// When the primary met it.
    at: Instant,
    admittance: Option<CopyAdmittance>,
}

/// An admittance, without the founders that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CopyAdmittance {
    pub(super) copy: u64,
    pub(super) founder: bool,
}

/// Why a copy may or may not be admitted at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmittanceBasis {
    /// When this primary sent the newest message that a majority has answered.
    pub(super) confirmed: Option<Instant>,
    /// Whether the site acknowledged anything in this term.
    pub(super) acknowledged: bool,
    /// Whether this node recognises the copy from the first election.
    pub(super) founder: bool,
}

impl Admittances {
    /// The admittance of a site's copy, if it has one.
    pub(super) fn admittance_of(&self, term: u64, node: NodeId) -> Option<CopyAdmittance> {
        self.copies.get(&node).filter(|_| self.term == term)?.admittance
    }

    /// A copy answered that it isn't admitted. `true`: this primary meets it for the first time.
    pub(super) fn record_copy(&mut self, term: u64, node: NodeId, copy: u64, now: Instant) -> bool {
        if self.term != term {
            *self = Self { term, copies: BTreeMap::new() };
        }
        let known = self.copies.get(&node).is_some_and(|known| known.copy == copy);
        if !known {
            self.copies.insert(node, KnownCopy { copy, at: now, admittance: None });
        }
        !known
    }

    /// Admits every copy that may be.
    pub(super) fn admit_eligible(
        &mut self,
        term: u64,
        standing: impl Fn(NodeId, u64) -> AdmittanceBasis,
    ) {
        if self.term != term {
            return;
        }
        for (node, known) in self.copies.iter_mut().filter(|(_, known)| known.admittance.is_none())
        {
            let AdmittanceBasis { confirmed, acknowledged, founder } = standing(*node, known.copy);
            if founder || (!acknowledged && confirmed.is_some_and(|at| at > known.at)) {
                known.admittance = Some(CopyAdmittance { copy: known.copy, founder });
            }
        }
    }

    /// The sites whose copies aren't admitted yet.
    pub(super) fn waiting(&self, term: u64) -> Vec<NodeId> {
        let waiting = self.copies.iter().filter(|(_, known)| known.admittance.is_none());
        if self.term == term { waiting.map(|(node, _)| *node).collect() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STALE: AdmittanceBasis =
        AdmittanceBasis { confirmed: None, acknowledged: false, founder: false };

    #[tokio::test(start_paused = true)]
    async fn a_copy_is_admitted_after_a_majority_has_answered_since_it_came() {
        let start = Instant::now();
        let at = |ms| Some(start + Duration::from_millis(ms));
        let mut admittances = Admittances::default();
        assert!(admittances.record_copy(3, 2, 77, at(100).unwrap()));
        for confirmed in [None, at(50), at(100)] {
            admittances.admit_eligible(3, |_, _| AdmittanceBasis { confirmed, ..STALE });
            assert_eq!(
                admittances.admittance_of(3, 2),
                None,
                "{confirmed:?}: a stale primary could say that"
            );
        }
        assert!(
            !admittances.record_copy(3, 2, 77, at(200).unwrap()),
            "asking again changes nothing"
        );
        admittances.admit_eligible(3, |_, _| AdmittanceBasis { confirmed: at(101), ..STALE });
        assert_eq!(
            admittances.admittance_of(3, 2),
            Some(CopyAdmittance { copy: 77, founder: false })
        );
        assert_eq!(
            (admittances.admittance_of(4, 2), admittances.admittance_of(3, 1)),
            (None, None)
        );

        assert!(admittances.record_copy(3, 2, 78, at(300).unwrap()), "its disk was lost once more");
        assert_eq!(admittances.admittance_of(3, 2), None);
        assert_eq!(admittances.waiting(3), [2]);
        assert!(admittances.record_copy(4, 2, 78, at(400).unwrap()), "another term");
        assert!(admittances.waiting(3).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn records_acknowledged_in_this_term_keep_a_copy_out_unless_it_forgot_nothing() {
        let start = Instant::now();
        let confirmed = Some(start + Duration::from_secs(1));
        let mut admittances = Admittances::default();
        admittances.record_copy(3, 2, 77, start);
        admittances.admit_eligible(3, |_, _| AdmittanceBasis {
            confirmed,
            acknowledged: true,
            founder: false,
        });
        assert_eq!(admittances.admittance_of(3, 2), None);
        admittances.admit_eligible(3, |_, _| AdmittanceBasis { founder: true, ..STALE });
        assert_eq!(
            admittances.admittance_of(3, 2),
            Some(CopyAdmittance { copy: 77, founder: true })
        );
    }
}
