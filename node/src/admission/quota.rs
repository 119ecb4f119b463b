//! Rates of a key at this site, over both doors: requests, commands and bytes, each a token bucket
//! stored as the instant when it will be full again. It never delays a request itself.
//!
//! A request is judged once, whatever the number of its commands. One that is refused costs
//! nothing, and one largest batch always fits in a full bucket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::{
    id::KeyId,
    key::Role,
    reply::{Refusal, RefusalCode},
};
use tokio::time::Instant;

use crate::limits::{COMMANDS_MAX, FRAME_BYTES_MAX};
pub(crate) use crate::{config::Rates, limits::RATES_MAX, road::Caller};

/// The rates of every key. Shared by the doors.
pub struct Quota {
    rates: Rates,
    keys: Mutex<HashMap<KeyId, Arc<KeyQuota>>>,
}

/// The buckets of one key.
#[derive(Debug)]
pub struct KeyQuota {
    rates: Rates,
    buckets: Mutex<Buckets>,
}

#[derive(Clone, Copy, Debug)]
struct Buckets {
    requests: Bucket,
    commands: Bucket,
    bytes: Bucket,
}

/// A bucket, as the instant when it will be full again.
#[derive(Clone, Copy, Debug)]
struct Bucket(Instant);

/// A request that came too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    /// What there was too much of.
    pub what: &'static str,
    /// When it would be accepted.
    pub wait: Duration,
}

impl Quota {
    pub fn new(rates: Rates) -> Self {
        Self { rates, keys: Mutex::default() }
    }

    /// The buckets of this caller's key; `None` if it's exempt.
    pub fn of(&self, caller: &Caller) -> Option<Arc<KeyQuota>> {
        if self.rates.operator_exempt && caller.role == Role::Operator {
            return None;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.get(&caller.key) {
            return Some(known.clone());
        }
        let now = Instant::now();
        if keys.len() >= RATES_MAX {
            keys.retain(|_, known| Arc::strong_count(known) > 1 || !known.is_full(now));
        }
        let bucket = Bucket(now);
        let buckets = Mutex::new(Buckets { requests: bucket, commands: bucket, bytes: bucket });
        let new = Arc::new(KeyQuota { rates: self.rates, buckets });
        keys.insert(caller.key, new.clone());
        Some(new)
    }
}

impl KeyQuota {
    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, now: Instant) -> bool {
        let buckets = *self.buckets();
        [buckets.requests, buckets.commands, buckets.bytes].iter().all(|bucket| bucket.0 <= now)
    }

    /// Counts a request, which HTTP does.
    ///
    /// # Errors
    /// When the key has sent too many.
    pub fn count_request(&self, now: Instant) -> Result<(), QuotaExceeded> {
        let rate = self.rates.requests_per_second.max(1).into();
        self.buckets().requests.take(1, rate, self.rates.burst.max(1).into(), now, "requests")
    }

    /// Counts the bytes of a request's body.
    ///
    /// # Errors
    /// When the key has sent too many.
    pub fn count_bytes(&self, bytes: usize, now: Instant) -> Result<(), QuotaExceeded> {
        self.count(0, bytes, now)
    }

    /// Counts the commands of a request.
    ///
    /// # Errors
    /// When the key has sent too many.
    pub fn count_commands(&self, commands: usize, now: Instant) -> Result<(), QuotaExceeded> {
        self.count(commands, 0, now)
    }

    /// Counts commands and their bytes, or neither.
    ///
    /// # Errors
    /// When the key has sent too many of either.
    pub fn count(&self, commands: usize, bytes: usize, now: Instant) -> Result<(), QuotaExceeded> {
        let Rates { commands_per_second, bytes_per_second, .. } = self.rates;
        let mut buckets = self.buckets();
        let mut next = *buckets;
        for (bucket, amount, largest, rate, what) in [
            (&mut next.commands, commands, COMMANDS_MAX, commands_per_second, "commands"),
            (&mut next.bytes, bytes, FRAME_BYTES_MAX, bytes_per_second, "bytes"),
        ] {
            if rate > 0 && amount > 0 {
                // What is over the largest is refused for its size, elsewhere.
                let (amount, largest) = (to_u64(amount.min(largest)), to_u64(largest));
                bucket.take(amount, rate, rate.max(largest), now, what)?;
            }
        }
        *buckets = next;
        Ok(())
    }
}

impl Bucket {
    /// Takes an amount from a bucket that holds `burst` and is refilled at `rate` a second.
    fn take(
        &mut self,
        amount: u64,
        rate: u64,
        burst: u64,
        now: Instant,
        what: &'static str,
    ) -> Result<(), QuotaExceeded> {
        let next = self.0.max(now) + refill_time(amount, rate);
        let wait = (next - now).saturating_sub(refill_time(burst, rate));
        if !wait.is_zero() {
            return Err(QuotaExceeded { what, wait });
        }
        self.0 = next;
        Ok(())
    }
}

/// How long a bucket takes to fill by an amount.
fn refill_time(amount: u64, rate: u64) -> Duration {
    let nanos = u128::from(amount) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl QuotaExceeded {
    pub(crate) fn detail(self) -> String {
        format!("too many {} with this key; nothing was done", self.what)
    }
}

impl From<QuotaExceeded> for Refusal {
    fn from(exceeded: QuotaExceeded) -> Self {
        let ms = exceeded.wait.as_millis() + 1;
        let detail = format!("{}; ask again in {ms} ms", exceeded.detail());
        Self::new(RefusalCode::RateLimited, &detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: u32, role: Role) -> Caller {
        Caller { key: KeyId(key), hash: [0; 32], role, account: None }
    }

    fn wait(counted: Result<(), QuotaExceeded>) -> Option<Duration> {
        counted.err().map(|exceeded| exceeded.wait)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_may_ask_so_often_and_no_oftener() {
        let rates = Rates { requests_per_second: 10, burst: 3, ..Rates::default() };
        let (quota, start) = (Quota::new(rates), Instant::now());
        let app = quota.of(&caller(2, Role::App)).expect("not exempt");
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(app.count_request(at(0)), Ok(()));
        }
        assert_eq!(wait(app.count_request(at(0))), Some(Duration::from_millis(100)));
        let refused = wait(app.count_request(at(60)));
        assert_eq!(refused, Some(Duration::from_millis(40)), "a refused request costs nothing");
        assert_eq!(app.count_request(at(100)), Ok(()));
        assert!(app.count_request(at(100)).is_err());
        let other = quota.of(&caller(3, Role::App)).expect("not exempt");
        assert_eq!(other.count_request(at(100)), Ok(()), "each key has its own bucket");
        for _ in 0..3 {
            let counted = app.count_request(at(1_000));
            assert_eq!(counted, Ok(()), "the bucket never holds more than the burst");
        }
        assert!(app.count_request(at(1_000)).is_err());
        assert_eq!(app.count(COMMANDS_MAX, FRAME_BYTES_MAX, at(1_000)), Ok(()), "these apart");
    }

    #[tokio::test(start_paused = true)]
    async fn commands_and_bytes_are_counted_together_or_not_at_all() {
        let rates =
            Rates { commands_per_second: 1_000, bytes_per_second: 1 << 20, ..Rates::default() };
        let (quota, now) = (Quota::new(rates), Instant::now());
        let app = quota.of(&caller(2, Role::App)).expect("not exempt");
        assert_eq!(app.count(COMMANDS_MAX, FRAME_BYTES_MAX, now), Ok(()), "one largest batch fits");
        let exceeded = app.count(1, 1, now).expect_err("all of both is used");
        assert_eq!(exceeded, QuotaExceeded { what: "commands", wait: Duration::from_millis(1) });
        let later = now + Duration::from_secs(1);
        assert_eq!(wait(app.count(10, 2 << 20, later)), Some(Duration::from_secs(1)));
        assert_eq!(app.count(1_000, 1 << 20, later), Ok(()), "the refused one cost no commands");
        assert_eq!(app.count_commands(1, later).expect_err("used").what, "commands");
        assert_eq!(app.count_bytes(1, later).expect_err("used").what, "bytes");
        let full = later + Duration::from_secs(60);
        assert_eq!(app.count(COMMANDS_MAX * 2, FRAME_BYTES_MAX * 2, full), Ok(()));
        let text = Refusal::from(exceeded).to_string();
        assert!(
            text.starts_with("rate_limited: too many commands") && text.ends_with("in 2 ms"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn zero_switches_a_rate_off_and_operators_may_be_exempt() {
        let off = Rates { commands_per_second: 0, bytes_per_second: 0, ..Rates::default() };
        let (quota, now) = (Quota::new(off), Instant::now());
        let app = quota.of(&caller(2, Role::App)).expect("requests are counted");
        for _ in 0..1_000 {
            assert_eq!(app.count(COMMANDS_MAX, FRAME_BYTES_MAX, now), Ok(()));
        }
        let counted = Rates { requests_per_second: 1, burst: 1, ..Rates::default() };
        let operator = Quota::new(counted).of(&caller(1, Role::Operator)).expect("counted");
        assert_eq!(operator.count_request(now), Ok(()));
        assert!(operator.count_request(now).is_err());
        let exempt = Quota::new(Rates { operator_exempt: true, ..counted });
        assert!(exempt.of(&caller(1, Role::Operator)).is_none());
        assert!(exempt.of(&caller(2, Role::App)).is_some());
    }
}
