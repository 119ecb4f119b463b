//! Shares of one budget by key: what one key holds must leave room for the next one.
//!
//! A key may hold three times what stays free. Alone it gets three quarters of the budget, two keys
//! get three sevenths each; the more keys there are, the less stays unused. It never waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use evenkeel_wire::id::KeyId;

/// How many times what stays free a key may hold.
const SHARE: usize = 3;

/// Whether a key may hold `own` while `free` of the budget stays for the others.
pub(crate) fn within_share(own: usize, free: usize) -> bool {
    own <= free.saturating_mul(SHARE)
}

/// A budget in any unit, shared by keys.
#[derive(Clone, Debug)]
pub struct KeyShares(Arc<SharedBudget>);

#[derive(Debug)]
struct SharedBudget {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_key: BTreeMap<KeyId, usize>,
}

/// What one request holds of a budget; given back when it's dropped.
#[derive(Debug)]
pub struct KeyShare {
    budget: Arc<SharedBudget>,
    key: KeyId,
    own: usize,
}

impl KeyShares {
    pub fn new(max: usize) -> Self {
        Self(Arc::new(SharedBudget { max, taken: Mutex::default() }))
    }

    /// A request's share, which holds nothing yet.
    pub fn share_of(&self, key: KeyId) -> KeyShare {
        KeyShare { budget: self.0.clone(), key, own: 0 }
    }

    /// A share of this size, if the key may hold so much.
    pub fn take(&self, key: KeyId, amount: usize) -> Option<KeyShare> {
        let mut share = self.share_of(key);
        share.grow(amount).then_some(share)
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.0.taken().all
    }
}

impl SharedBudget {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyShare {
    /// Holds `more`, if the key may; otherwise the share stays as it is.
    pub fn grow(&mut self, more: usize) -> bool {
        let mut taken = self.budget.taken();
        let all = taken.all.saturating_add(more);
        let own = taken.by_key.get(&self.key).copied().unwrap_or(0).saturating_add(more);
        let fits = all <= self.budget.max && within_share(own, self.budget.max - all);
        if fits && more > 0 {
            taken.all = all;
            taken.by_key.insert(self.key, own);
            self.own += more;
        }
        fits
    }

    /// Gives back what is over `size`.
    pub fn shrink_to(&mut self, size: usize) {
        let less = self.own.saturating_sub(size);
        if less == 0 {
            return;
        }
        self.own -= less;
        let mut taken = self.budget.taken();
        taken.all -= less;
        let own = taken.by_key.get_mut(&self.key).expect("a share that holds something is counted");
        *own -= less;
        if *own == 0 {
            taken.by_key.remove(&self.key);
        }
    }
}

impl Drop for KeyShare {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_alone_gets_three_quarters_and_all_of_it_comes_back() {
        let budget = KeyShares::new(100);
        let mut large = budget.take(KeyId(1), 75).expect("three quarters");
        assert!(!large.grow(1) && budget.take(KeyId(1), 1).is_none());
        let other = budget.take(KeyId(2), 18).expect("another key finds room");
        assert!(budget.take(KeyId(2), 10).is_none(), "which isn't all for it either");
        large.shrink_to(10);
        assert_eq!(budget.taken(), 28);
        drop((large, other));
        assert_eq!(budget.taken(), 0);
        assert!(budget.0.taken().by_key.is_empty());
        assert!(budget.take(KeyId(3), 101).is_none());
    }
}
