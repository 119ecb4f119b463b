//! The digest of all outcomes, kept up to date with every new one. Replays give no outcome and
//! don't count.

use evenkeel_wire::outcome::{Outcome, Rejection};

use crate::containers::mix::{ROOTS, bits, fold, halves};

/// The number of outcomes and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutcomesDigest {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl OutcomesDigest {
    /// Adds the outcome of a command about `subject` in the entry at this position.
    #[inline]
    pub(crate) fn add(&mut self, subject: u128, position: u64, outcome: &Outcome) {
        let (low, high) = halves(subject);
        let code = outcome.rejection.map_or(0, Rejection::byte);
        let code = (u64::from(outcome.index) << 8) | u64::from(code);
        let subject = fold(low ^ ROOTS[0], high ^ ROOTS[1]);
        let location = fold(position ^ ROOTS[2], code ^ ROOTS[3]);
        let balances =
            fold(bits(outcome.debit_after) ^ ROOTS[4], bits(outcome.credit_after) ^ ROOTS[5]);
        let amount = fold(outcome.amount ^ ROOTS[1], ROOTS[6]);
        let reported = balances ^ amount ^ ROOTS[2];
        let mixed = fold(fold(subject ^ ROOTS[6], location ^ ROOTS[7]) ^ ROOTS[0], reported);
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mixed);
    }
}
