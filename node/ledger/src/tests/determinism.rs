//! Two nodes with the same journal say and hold the same, whatever their hashes and whatever they've forgotten.

use proptest::prelude::*;

use super::{history::*, world::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nodes_agree_whatever_their_seeds(history in histories(), seeds: [u64; 2]) {
        let mut one = World::seeded(seeds);
        let mut other = World::seeded([!seeds[1], seeds[0]]);
        for happening in history.0.iter() {
            prop_assert_eq!(one.live(happening), other.live(happening));
            prop_assert_eq!(one.ledger.digest(), other.ledger.digest());
        }
        prop_assert_eq!(one.ledger.totals(), other.ledger.totals());
    }

    #[test]
    fn a_node_that_forgot_says_the_same(history in histories(), forgets in 1..5_u64) {
        let mut one = World::empty();
        let mut other = World::empty();
        for happening in history.0.iter() {
            prop_assert_eq!(one.live(happening), other.live(happening));
            // From time to time everything so far is sealed, and memory holds none of it.
            let position = other.ledger.position().unwrap();
            if position > 1 && position.is_multiple_of(forgets) {
                other.journal.sealed_through = Some(position);
                other.forget_everything();
            }
            prop_assert_eq!(one.ledger.digest(), other.ledger.digest());
        }
    }
}
