//! The keyring: authenticates keys by their hash. It caches what the ledger says about keys until
//! they change, so that a request needs no lock of the ledger.
//!
//! A key that this node doesn't know may be new: the primary is asked, behind a majority, before
//! the key is called unknown. A node that hasn't heard from the primary for some heartbeats may
//! have missed a revocation: it asks the primary before it answers from its own state, and honours
//! the key only when no primary can be reached.
//!
//! Only hashes are compared and looked up, so that timing reveals nothing about a key's text. It
//! never stores a key's text.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::{
    limits::KEYS_MAX,
    reply::{KeyView, Refusal, RefusalCode, View},
    request::Query,
};
use tokio::{sync::Semaphore, time::Instant};

use super::unauthorized;
use crate::{
    limits::{KEY_PATIENCE, KEYS_REQUESTED_MAX, UNKNOWN_KEYS_MAX, UNKNOWN_KEYS_REMEMBERED},
    road::{Caller, Lead, Reply, Request, Road},
    state::{AppliedState, freshness::Freshness},
};

/// The keys that a node has looked up. Shared by its doors.
pub struct Keyring {
    state: Arc<AppliedState>,
    road: Arc<Road>,
    freshness: Arc<Freshness>,
    trusted_for: Duration,
    known: Mutex<KnownKeys>,
    asking: Semaphore,
}

#[derive(Default)]
struct KnownKeys {
    /// The version of the keys that this cache holds, from [`AppliedState::keys_digest`].
    mark: u64,
    keys: HashMap<[u8; 32], KeyView>,
    /// Hashes unknown to the primary, oldest first, and until when that answer holds.
    strangers: VecDeque<([u8; 32], Instant)>,
}

impl Keyring {
    /// `trusted_for`: how long after the primary's last message a node trusts its own keys.
    pub fn new(
        state: Arc<AppliedState>,
        road: Arc<Road>,
        freshness: Arc<Freshness>,
        trusted_for: Duration,
    ) -> Self {
        let asking = Semaphore::new(KEYS_REQUESTED_MAX);
        Self { state, road, freshness, trusted_for, known: Mutex::default(), asking }
    }

    /// How long after the primary's last message a node trusts its own keys.
    pub fn trusted_for(&self) -> Duration {
        self.trusted_for
    }

    fn known(&self) -> MutexGuard<'_, KnownKeys> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The holder of the key with this hash. Asks the primary if this node doesn't know the key.
    ///
    /// # Errors
    /// When there's no such key, it was revoked, or the primary can't be reached.
    pub async fn authenticate(&self, hash: [u8; 32]) -> Result<Caller, Refusal> {
        if !self.state.is_bootstrapped() {
            return Err(self.no_ledger());
        }
        let key = match self.find_key(&hash) {
            Some(key) => key,
            None => self.fetch_key(hash).await?,
        };
        admit_key(&key, hash)
    }

    /// There's no ledger here: because no primary has made one, or because this site hasn't got its
    /// entries yet.
    fn no_ledger(&self) -> Refusal {
        if self.road.lead() == Lead::Nowhere {
            return Refusal::new(RefusalCode::NoPrimary, &self.road.outage_detail());
        }
        Refusal::new(RefusalCode::Recovering, "this site takes over the primary's ledger first")
    }

    /// The holder of the key with this hash, from this node's state alone: for later requests of an
    /// authenticated caller, and for requests that another site has authenticated.
    ///
    /// # Errors
    /// When the key is unknown to this node or was revoked.
    pub fn authenticate_locally(&self, hash: &[u8; 32]) -> Result<Caller, Refusal> {
        let key = self.find_key(hash).ok_or_else(unauthorized)?;
        admit_key(&key, *hash)
    }

    /// Checks that this node hasn't seen a revocation of the caller's key; cheap enough for every
    /// request. A key that only the primary knows passes.
    ///
    /// # Errors
    /// When it was revoked.
    pub fn recheck(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.find_key(&caller.hash) {
            Some(key) if key.revoked => Err(unauthorized()),
            _ => Ok(()),
        }
    }

    /// Whether [`Self::confirm`] would say no more than [`Self::recheck`]: this node heard from the
    /// primary recently enough to have seen every acknowledged revocation, or it can't reach one.
    pub fn is_current(&self) -> bool {
        let age = self.freshness.age(Instant::now(), self.state.position());
        age.is_some_and(|age| age <= self.trusted_for) || self.road.lead() == Lead::Nowhere
    }

    /// Checks with the primary, if it can be reached, that the caller's key isn't revoked; used
    /// before this node answers from its own state. A site that is cut off honours the key.
    ///
    /// # Errors
    /// When it was revoked.
    pub async fn confirm(&self, caller: &Caller) -> Result<(), Refusal> {
        self.recheck(caller)?;
        if self.is_current() {
            return Ok(());
        }
        match self.query_primary(caller.hash).await {
            Ok(Some(key)) if !key.revoked => Ok(()),
            Ok(_) => Err(unauthorized()),
            Err(_) => self.recheck(caller),
        }
    }

    fn find_key(&self, hash: &[u8; 32]) -> Option<KeyView> {
        let mark = self.state.keys_digest();
        let mut known = self.known();
        if known.mark != mark {
            known.mark = mark;
            known.keys.clear();
        }
        if let Some(key) = known.keys.get(hash) {
            return Some(*key);
        }
        let key = self.state.key(hash)?;
        // The ledger has the same bound.
        if known.keys.len() < KEYS_MAX {
            known.keys.insert(*hash, key);
        }
        Some(key)
    }

    /// Asks the primary about a key that this node doesn't know.
    async fn fetch_key(&self, hash: [u8; 32]) -> Result<KeyView, Refusal> {
        if self.is_stranger(&hash, Instant::now()) {
            return Err(unauthorized());
        }
        let Ok(_place) = self.asking.try_acquire() else {
            let detail = "too many keys unknown to this site; nothing was done";
            return Err(Refusal::new(RefusalCode::Overloaded, detail));
        };
        self.query_primary(hash).await?.ok_or_else(|| self.remember_stranger(hash))
    }

    async fn query_primary(&self, hash: [u8; 32]) -> Result<Option<KeyView>, Refusal> {
        let request = Request::Read(Query::Key(hash));
        match self.road.send_and_wait(Caller::NODE, request, KEY_PATIENCE).await {
            Reply::View(view, _) => match *view {
                View::Keys(keys) => Ok(keys.first().copied()),
                _ => Ok(None),
            },
            Reply::Refused(refusal) if refusal.code == RefusalCode::NotFound => Ok(None),
            Reply::Refused(refusal) => Err(refusal),
            Reply::Decided(..) => unreachable!("a read has no outcome"),
        }
    }

    fn is_stranger(&self, hash: &[u8; 32], now: Instant) -> bool {
        let mut known = self.known();
        while known.strangers.front().is_some_and(|(_, until)| *until <= now) {
            known.strangers.pop_front();
        }
        known.strangers.iter().any(|(stranger, _)| stranger == hash)
    }

    fn remember_stranger(&self, hash: [u8; 32]) -> Refusal {
        let mut known = self.known();
        if known.strangers.len() >= UNKNOWN_KEYS_MAX {
            known.strangers.pop_front();
        }
        known.strangers.push_back((hash, Instant::now() + UNKNOWN_KEYS_REMEMBERED));
        unauthorized()
    }
}

fn admit_key(key: &KeyView, hash: [u8; 32]) -> Result<Caller, Refusal> {
    if key.revoked { Err(unauthorized()) } else { Ok(Caller::with_key(key, hash)) }
}
