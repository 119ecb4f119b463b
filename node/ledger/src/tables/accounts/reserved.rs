//! What accounts say of their holds and what the open holds say of the accounts, as sums that can be compared at any time.
//!
//! Each account counts with a weight of its own, so a hold that one account lacks and another has too much of shows as
//! well. Weights are odd: a single account that is wrong shows always, several that are wrong cancel out by chance alone.

use evenkeel_wire::id::AccountId;

use super::extra::Extra;
use crate::{
    containers::mix::{ROOTS, fold, halves},
    tables::holds::OpenHold,
};

/// The sum of all that is held, and of all incoming holds, by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserved {
    held: u64,
    incoming: u64,
}

impl Reserved {
    /// What an account says.
    pub(crate) fn of_account(account: AccountId, extra: &Extra) -> Self {
        Self {
            held: payer_weight(account).wrapping_mul(u64::from_le_bytes(extra.held.to_le_bytes())),
            incoming: payee_weight(account).wrapping_mul(u64::from(extra.incoming_holds)),
        }
    }

    /// What an open hold says.
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
