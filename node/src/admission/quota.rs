//! Request rates: a token bucket for each key, stored as the instant when it will be full again. It
//! never delays a request itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::{id::KeyId, key::Role};
use tokio::time::Instant;

pub(crate) use crate::{config::Rates, limits::RATES_MAX, road::Caller};

/// The request rate of each key.
pub struct Quota {
    rates: Rates,
    full_at: Mutex<HashMap<KeyId, Instant>>,
}

impl Quota {
    pub fn new(rates: Rates) -> Self {
        Self { rates, full_at: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When the key has sent too many requests: how long it should wait.
    pub fn count_request(&self, caller: &Caller, now: Instant) -> Result<(), Duration> {
        if self.rates.operator_exempt && caller.role == Role::Operator {
            return Ok(());
        }
        let one = Duration::from_secs(1) / self.rates.requests_per_second.max(1);
        let all = one * self.rates.burst.max(1);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= RATES_MAX {
            full_at.retain(|_, full_at| *full_at > now);
        }
        let own = full_at.entry(caller.key).or_insert(now);
        let next = (*own).max(now) + one;
        let ahead = next - now;
        if ahead > all {
            return Err(ahead - all);
        }
        *own = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: u32, role: Role) -> Caller {
        Caller { key: KeyId(key), hash: [0; 32], role, account: None }
    }

    #[test]
    fn a_key_may_ask_so_often_and_no_oftener() {
        let rates = Rates { requests_per_second: 10, burst: 3, operator_exempt: true };
        let (quota, start) = (Quota::new(rates), Instant::now());
        let app = caller(2, Role::App);
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(quota.count_request(&app, at(0)), Ok(()));
        }
        assert_eq!(quota.count_request(&app, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(
            quota.count_request(&app, at(60)),
            Err(Duration::from_millis(40)),
            "a refused request costs nothing"
        );
        assert_eq!(quota.count_request(&app, at(100)), Ok(()));
        assert!(quota.count_request(&app, at(100)).is_err());
        assert_eq!(
            quota.count_request(&caller(3, Role::App), at(100)),
            Ok(()),
            "each key has its own bucket"
        );
        for _ in 0..3 {
            assert_eq!(
                quota.count_request(&app, at(1_000)),
                Ok(()),
                "the bucket never holds more than the burst"
            );
        }
        assert!(quota.count_request(&app, at(1_000)).is_err());
        for _ in 0..100 {
            assert_eq!(quota.count_request(&caller(1, Role::Operator), at(0)), Ok(()));
        }
    }

    #[test]
    fn operators_are_counted_unless_they_are_exempt() {
        let rates = Rates { requests_per_second: 1, burst: 1, operator_exempt: false };
        let (quota, now) = (Quota::new(rates), Instant::now());
        assert_eq!(quota.count_request(&caller(1, Role::Operator), now), Ok(()));
        assert!(quota.count_request(&caller(1, Role::Operator), now).is_err());
    }
}
