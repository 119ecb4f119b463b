//! A bounded number of short tasks of strangers, such as handshakes. A new one always begins: if
//! the bound is reached, the oldest task of the address that has most ends for it. So tasks that
//! stall hold nobody up, and one address takes little from another.
//!
//! Addresses that have proved to be members' give way to nobody but themselves.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::slots::network_of;

/// The most addresses that are known as members'.
const MEMBERS_MAX: usize = 64;

/// The tasks that run.
#[derive(Clone, Debug)]
pub struct ShortTasks(Arc<SharedTasks>);

#[derive(Debug)]
struct SharedTasks {
    running: Mutex<RunningTasks>,
    all_max: usize,
    address_max: usize,
}

#[derive(Debug, Default)]
struct RunningTasks {
    next: u64,
    ends: HashMap<u64, oneshot::Sender<()>>,
    /// Oldest first.
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    members: HashSet<IpAddr>,
}

impl ShortTasks {
    /// At most `all_max` tasks, at most `address_max` of them for one address.
    #[must_use]
    pub fn new(all_max: usize, address_max: usize) -> Self {
        Self(Arc::new(SharedTasks { running: Mutex::default(), all_max, address_max }))
    }

    /// Begins a task; another one ends for it if it must.
    #[must_use]
    pub fn begin(&self, address: IpAddr) -> ShortTask {
        let address = network_of(address);
        let mut running = self.0.running();
        let own = running.by_address.get(&address).map_or(0, BTreeSet::len);
        if own >= self.0.address_max {
            running.end_oldest(address);
        } else if running.ends.len() >= self.0.all_max
            && let Some(busiest) = running.find_busiest()
        {
            running.end_oldest(busiest);
        }
        let number = running.next;
        running.next += 1;
        let (end, ended) = oneshot::channel();
        running.ends.insert(number, end);
        running.by_address.entry(address).or_default().insert(number);
        ShortTask { tasks: self.0.clone(), address, number, ended }
    }

    /// Notes that a member has this address.
    pub fn add_member(&self, address: IpAddr) {
        let mut running = self.0.running();
        if running.members.len() < MEMBERS_MAX {
            running.members.insert(network_of(address));
        }
    }
}

impl SharedTasks {
    fn running(&self) -> MutexGuard<'_, RunningTasks> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningTasks {
    /// The address with most tasks, a stranger's if there is one; among equals the one that began
    /// first.
    fn find_busiest(&self) -> Option<IpAddr> {
        let rank = |address: &IpAddr, numbers: &BTreeSet<u64>| {
            let first = numbers.first().copied().unwrap_or(u64::MAX);
            (!self.members.contains(address), numbers.len(), std::cmp::Reverse(first))
        };
        let busiest = self.by_address.iter().max_by_key(|(address, own)| rank(address, own));
        busiest.map(|(address, _)| *address)
    }

    fn end_oldest(&mut self, address: IpAddr) {
        let oldest = self.by_address.get(&address).and_then(BTreeSet::first).copied();
        if let Some(end) = oldest.and_then(|number| self.remove(address, number)) {
            // The task may have ended by itself.
            let _ended = end.send(());
        }
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<oneshot::Sender<()>> {
        let own = self.by_address.get_mut(&address)?;
        own.remove(&number);
        if own.is_empty() {
            self.by_address.remove(&address);
        }
        self.ends.remove(&number)
    }
}

/// One task; it counts until this is dropped.
#[derive(Debug)]
pub struct ShortTask {
    tasks: Arc<SharedTasks>,
    address: IpAddr,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl ShortTask {
    /// Returns when the task must end for another one.
    pub async fn displaced(&mut self) {
        if (&mut self.ended).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for ShortTask {
    fn drop(&mut self) {
        let _the_end_is_here = self.tasks.running().remove(self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_displaced(task: &mut ShortTask) -> bool {
        task.displaced().now_or_never().is_some()
    }

    fn address(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn the_oldest_task_of_the_busiest_address_ends_for_a_new_one() {
        let tasks = ShortTasks::new(4, 3);
        let mut flood: Vec<ShortTask> = (0..3).map(|_| tasks.begin(address(1))).collect();
        let mut other = tasks.begin(address(2));
        assert!(flood.iter_mut().all(|task| !is_displaced(task)));
        let mut third = tasks.begin(address(3));
        assert!(is_displaced(&mut flood[0]) && !is_displaced(&mut flood[1]));
        let _again = tasks.begin(address(1));
        assert!(is_displaced(&mut flood[1]), "the flood's own");
        assert!(!is_displaced(&mut other) && !is_displaced(&mut third));
        drop((flood, other, third, _again));
        let running = tasks.0.running();
        assert!(running.ends.is_empty() && running.by_address.is_empty());
    }

    #[test]
    fn a_member_gives_way_to_no_stranger() {
        let tasks = ShortTasks::new(3, 3);
        tasks.add_member(address(1));
        let mut members: Vec<ShortTask> = (0..2).map(|_| tasks.begin(address(1))).collect();
        let mut strangers: Vec<ShortTask> =
            (2..50).map(|from| tasks.begin(address(from))).collect();
        let newest = strangers.pop();
        assert!(strangers.iter_mut().all(is_displaced));
        assert!(members.iter_mut().all(|task| !is_displaced(task)));
        drop(newest);
    }
}
