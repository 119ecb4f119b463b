//! The held amounts and incoming holds of all accounts, and of all open holds, as sums that can be
//! compared at any time.
//!
//! Each account has a weight of its own, so a hold that is missing from one account and too much
//! at another changes the sum. Weights are odd: the error of a single account always changes the
//! sum; errors of several accounts cancel out only by chance.

use evenkeel_wire::id::AccountId;

use super::{accounts::extra::Extra, holds::OpenHold};
use crate::containers::mix::{ROOTS, bits, fold, halves};

/// The weighted sums of held amounts and of incoming holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    held: u64,
    incoming: u64,
}

impl Reserved {
    /// The share of an account.
    pub(crate) fn of_account(account: AccountId, extra: &Extra) -> Self {
        Self {
            held: payer_weight(account).wrapping_mul(bits(extra.held)),
            incoming: payee_weight(account).wrapping_mul(u64::from(extra.incoming_holds)),
        }
    }

    /// The share of an open hold.
    pub(crate) fn of_hold(hold: &OpenHold) -> Self {
        Self {
            held: payer_weight(hold.debit).wrapping_mul(hold.amount),
            incoming: payee_weight(hold.credit),
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            held: self.held.wrapping_add(other.held),
            incoming: self.incoming.wrapping_add(other.incoming),
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            held: self.held.wrapping_sub(other.held),
            incoming: self.incoming.wrapping_sub(other.incoming),
        }
    }
}

fn payer_weight(account: AccountId) -> u64 {
    weight(account, ROOTS[0], ROOTS[1])
}

fn payee_weight(account: AccountId) -> u64 {
    weight(account, ROOTS[2], ROOTS[3])
}

fn weight(account: AccountId, one: u64, other: u64) -> u64 {
    let (low, high) = halves(account.number());
    fold(fold(low ^ one, high ^ other) ^ ROOTS[4], ROOTS[5]) | 1
}
