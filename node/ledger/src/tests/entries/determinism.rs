//! Two nodes with the same journal have the same answers and the same state, with any hash seeds
//! and any forgotten ids.

use proptest::prelude::*;

use crate::tests::support::{history::*, world::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nodes_agree_with_any_seeds(history in histories(), seeds: [u64; 2]) {
        let mut one = World::seeded(seeds);
        let mut other = World::seeded([!seeds[1], seeds[0]]);
        for event in history.0.iter() {
            prop_assert_eq!(one.apply_event(event), other.apply_event(event));
            prop_assert_eq!(one.ledger.digest(), other.ledger.digest());
        }
        prop_assert_eq!(one.ledger.totals(), other.ledger.totals());
    }

    #[test]
    fn a_node_that_forgot_gives_the_same_answers(history in histories(), forgets in 1..5_u64) {
        let mut one = World::empty();
        let mut other = World::empty();
        for event in history.0.iter() {
            prop_assert_eq!(one.apply_event(event), other.apply_event(event));
            // Now and then all entries so far are sealed and forgotten.
            let position = other.ledger.position().unwrap();
            if position > 1 && position.is_multiple_of(forgets) {
                other.journal.sealed_through = Some(position);
                other.forget_everything();
            }
            prop_assert_eq!(one.ledger.digest(), other.ledger.digest());
        }
    }
}
