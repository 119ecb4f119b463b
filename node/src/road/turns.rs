//! Turns at work that few may do at a time: keys that wait get theirs in rotation, so that a key
//! with many requests delays another one by one turn and never by all of its own. It never limits
//! how many wait.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use evenkeel_wire::id::KeyId;
use tokio::sync::oneshot;

/// A number of turns.
#[derive(Clone, Debug)]
pub(crate) struct KeyTurns(Arc<Mutex<Turns>>);

#[derive(Debug)]
struct Turns {
    free: usize,
    waiting: BTreeMap<KeyId, VecDeque<oneshot::Sender<KeyTurn>>>,
    /// The keys that wait, in the order of their next turns.
    rotation: VecDeque<KeyId>,
}

/// A turn; the next one begins when it's dropped.
#[derive(Debug)]
pub(crate) struct KeyTurn(Option<Arc<Mutex<Turns>>>);

impl KeyTurns {
    pub(crate) fn new(free: usize) -> Self {
        let (waiting, rotation) = (BTreeMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Turns { free, waiting, rotation })))
    }

    /// Waits for a turn. Cancelling the wait loses nothing.
    pub(crate) async fn acquire(&self, key: KeyId) -> KeyTurn {
        let granted = {
            let mut turns = lock(&self.0);
            if turns.free > 0 {
                turns.free -= 1;
                return KeyTurn(Some(self.0.clone()));
            }
            let (grant, granted) = oneshot::channel();
            let own = turns.waiting.entry(key).or_default();
            own.push_back(grant);
            if own.len() == 1 {
                turns.rotation.push_back(key);
            }
            granted
        };
        granted.await.expect("a waiting request is granted its turn")
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    fn next_waiting(&mut self) -> Option<oneshot::Sender<KeyTurn>> {
        loop {
            let key = self.rotation.pop_front()?;
            if let Some(next) = self.next_of(key) {
                return Some(next);
            }
        }
    }

    fn next_of(&mut self, key: KeyId) -> Option<oneshot::Sender<KeyTurn>> {
        let own = self.waiting.get_mut(&key)?;
        // A caller that has left costs the key no turn.
        own.retain(|waiting| !waiting.is_closed());
        let next = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.rotation.push_back(key);
        }
        next
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let mut turns = lock(&shared);
        while let Some(next) = turns.next_waiting() {
            match next.send(Self(Some(shared.clone()))) {
                Ok(()) => return,
                // The caller is gone; its turn must not end within this one.
                Err(mut unused) => drop(unused.0.take()),
            }
        }
        turns.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn keys_take_turns_and_those_who_left_are_passed_over() {
        let turns = KeyTurns::new(1);
        let first = turns.acquire(KeyId(1)).await;
        let mut many: Vec<_> = (0..5).map(|_| Box::pin(turns.acquire(KeyId(1)))).collect();
        assert!(many.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        let mut other = Box::pin(turns.acquire(KeyId(2)));
        assert!((&mut other).now_or_never().is_none());
        drop(many.remove(0));
        drop(first);
        let second = (&mut many[0]).now_or_never().expect("the next one of the first key");
        assert!((&mut other).now_or_never().is_none());
        drop(second);
        let third = (&mut other).now_or_never().expect("then the other key");
        assert!((&mut many[1]).now_or_never().is_none());
        drop(third);
        // Granted, and cancelled before it was received.
        drop(many);
        assert!(turns.acquire(KeyId(3)).now_or_never().is_some(), "no turn is lost");
        assert!(lock(&turns.0).waiting.is_empty());
    }
}
