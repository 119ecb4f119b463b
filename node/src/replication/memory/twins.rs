//! Two processes of one node: the same folder, cloned, started twice. It never closes a connection.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use evenkeel_wire::id::NodeId;
use tokio::time::Instant;

use crate::limits::{LINKS_KEPT_MAX, NEWCOMERS_KEPT_MAX};

/// A connection, as far as its liveness is concerned.
pub trait LinkStatus: Send + Sync {
    /// Tells it from the others of this process.
    fn id(&self) -> u64;
    /// The address at the other end.
    fn address(&self) -> String;
    /// Whether it's closed.
    fn is_closed(&self) -> bool;
    /// How many datagrams have come in. It grows only while the other end lives.
    fn received(&self) -> u64;
}

/// After this much time without a sign of life the older process counts as dead: its connection
/// would have idled out.
const DEAD_AFTER: Duration = Duration::from_millis(2_500);
/// Signs of life that come sooner after the newcomer may have been on their way.
const SETTLED_AFTER: Duration = Duration::from_millis(300);
/// So many datagrams are a sign of life.
const SIGNS_MIN: u64 = 2;

/// A connection of the process with this nonce.
type ProcessLink = (u64, Arc<dyn LinkStatus>);

/// The connections of each member's processes.
#[derive(Default)]
pub(super) struct ProcessLinks {
    links: BTreeMap<NodeId, Vec<ProcessLink>>,
    newcomers: BTreeMap<(NodeId, u64), Newcomer>,
}

struct Newcomer {
    since: Instant,
    /// What each older connection had received by then.
    received: BTreeMap<u64, u64>,
}

/// What a process of a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProcessKind {
    /// The only one that lives.
    Only,
    /// An older one hasn't shown yet whether it lives.
    Undecided,
    /// An older one lives, at this address.
    Twin(String),
}

impl ProcessLinks {
    /// A process of a member was introduced on this connection.
    pub(super) fn add(&mut self, node: NodeId, nonce: u64, link: &Arc<dyn LinkStatus>) {
        let links = self.links.entry(node).or_default();
        links.retain(|(_, known)| !known.is_closed() && known.id() != link.id());
        links.push((nonce, link.clone()));
        let surplus = links.len().saturating_sub(LINKS_KEPT_MAX);
        links.drain(..surplus);
        self.newcomers.remove(&(node, nonce));
    }

    /// Judges a process that comes on a new connection.
    pub(super) fn judge(&mut self, node: NodeId, nonce: u64, now: Instant) -> ProcessKind {
        let links = self.links.entry(node).or_default();
        links.retain(|(_, link)| !link.is_closed());
        let older: Vec<_> = links.iter().filter(|(known, _)| *known != nonce).collect();
        if older.is_empty() {
            return ProcessKind::Only;
        }
        if self.newcomers.len() >= NEWCOMERS_KEPT_MAX {
            self.newcomers.retain(|_, one| now.duration_since(one.since) < DEAD_AFTER * 4);
        }
        let newcomer = self.newcomers.entry((node, nonce)).or_insert_with(|| Newcomer {
            since: now,
            received: older.iter().map(|(_, link)| (link.id(), link.received())).collect(),
        });
        let waited = now.saturating_duration_since(newcomer.since);
        let alive = older.iter().find(|(_, link)| {
            let before = newcomer.received.get(&link.id()).copied().unwrap_or(0);
            link.received() >= before + SIGNS_MIN
        });
        match alive {
            Some((_, link)) if waited >= SETTLED_AFTER => ProcessKind::Twin(link.address()),
            None if waited >= DEAD_AFTER => ProcessKind::Only,
            _ => ProcessKind::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Link {
        id: u64,
        closed: AtomicBool,
        received: AtomicU64,
    }

    impl LinkStatus for Link {
        fn id(&self) -> u64 {
            self.id
        }

        fn address(&self) -> String {
            format!("10.0.0.{}:7100", self.id)
        }

        fn is_closed(&self) -> bool {
            self.closed.load(Ordering::Relaxed)
        }

        fn received(&self) -> u64 {
            self.received.load(Ordering::Relaxed)
        }
    }

    fn first(links: &mut ProcessLinks) -> Arc<Link> {
        let link = Arc::new(Link { id: 1, ..Link::default() });
        let shared: Arc<dyn LinkStatus> = link.clone();
        links.add(2, 70, &shared);
        link
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_beside_one_that_lives_is_a_twin() {
        let (start, mut links) = (Instant::now(), ProcessLinks::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(links.judge(2, 70, at(0)), ProcessKind::Only);
        let old = first(&mut links);
        assert_eq!(links.judge(2, 70, at(0)), ProcessKind::Only, "the same process");
        assert_eq!(links.judge(3, 71, at(0)), ProcessKind::Only, "another node");
        assert_eq!(links.judge(2, 71, at(0)), ProcessKind::Undecided);
        old.received.store(1, Ordering::Relaxed);
        assert_eq!(links.judge(2, 71, at(400)), ProcessKind::Undecided, "one may come late");
        old.received.store(2, Ordering::Relaxed);
        assert_eq!(links.judge(2, 71, at(500)), ProcessKind::Twin("10.0.0.1:7100".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_is_no_twin() {
        let (start, mut links) = (Instant::now(), ProcessLinks::default());
        let at = |ms| start + Duration::from_millis(ms);
        let old = first(&mut links);
        assert_eq!(links.judge(2, 71, at(0)), ProcessKind::Undecided);
        assert_eq!(links.judge(2, 71, at(2_499)), ProcessKind::Undecided);
        assert_eq!(links.judge(2, 71, at(2_500)), ProcessKind::Only, "it shows no sign of life");
        assert_eq!(links.judge(2, 72, at(2_600)), ProcessKind::Undecided);
        old.closed.store(true, Ordering::Relaxed);
        assert_eq!(links.judge(2, 72, at(2_601)), ProcessKind::Only, "its address reset it");
    }
}
