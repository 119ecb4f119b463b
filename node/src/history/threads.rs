//! The threads that read files for callers who must not wait: replication and the doors.
//!
//! Work comes in turns of a bounded size. Callers take turns, so that one caller's batch of
//! thousands of lookups doesn't stand before everybody else's single ones. Waiting work is bounded
//! in number and bytes, in all and for each caller, and ends at its deadline even if a disk hangs.
//! Without threads, in tests, work is done at once where it's asked for; the simulation does it in
//! its own time. It never does a request's work twice, and never drops work that it took.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

use evenkeel_wire::id::KeyId;
use tokio::{sync::oneshot, time::Instant};

use crate::limits::{
    LOOKUP_BYTES_MAX, LOOKUP_REQUESTS_MAX, LOOKUP_SHARE_OF_CALLER, LOOKUPS_AT_A_TIME,
};

/// How often deadlines are checked.
const DEADLINES_EVERY: Duration = Duration::from_millis(10);

/// What is left of a piece of work after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It needs another turn.
    More,
    /// It's done.
    Done,
}

/// A piece of work for the threads.
pub trait LookupWork: Send {
    /// Takes a turn of at most [`LOOKUPS_AT_A_TIME`] lookups.
    fn take_turn(&mut self) -> Turn;

    /// The work isn't taken; there's no turn.
    fn break_off(&mut self, why: NotLookedUp);
}

/// Work that nobody waits for when it breaks off.
impl<F: FnMut() -> Turn + Send> LookupWork for F {
    fn take_turn(&mut self) -> Turn {
        self()
    }

    fn break_off(&mut self, _why: NotLookedUp) {}
}

/// Why a lookup isn't made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLookedUp {
    #[error("too many lookups are waiting; nothing was done")]
    Busy,
    #[error("the lookup broke off; nothing was done")]
    BrokenOff,
}

/// Something that ends at its deadline if it hasn't ended before.
pub trait Expire: Send + Sync {
    /// The deadline has passed.
    fn expire(&self);
}

/// Threads that read files, or what stands in for them. Clones share everything.
#[derive(Clone, Default)]
pub struct LookupThreads(ReadBy);

#[derive(Clone, Default)]
enum ReadBy {
    /// The caller itself, at once.
    #[default]
    Caller,
    Threads(Arc<Shared>),
    Other(TakeWork),
}

/// Takes work and gives it turns until it's done.
pub type TakeWork = Arc<dyn Fn(Box<dyn LookupWork>) + Send + Sync>;

struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    deadlines: Mutex<Vec<(Instant, Weak<dyn Expire>)>>,
    deadline_added: Condvar,
}

/// Work that waits, in queues by caller; the queue in front is next.
#[derive(Default)]
struct Waiting {
    queues: VecDeque<(KeyId, VecDeque<WaitingWork>)>,
    /// What each caller has waiting or under way.
    loads: HashMap<KeyId, Load>,
    all: Load,
}

/// Pieces of work and the bytes that they keep in memory.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    count: usize,
    bytes: usize,
}

struct WaitingWork {
    work: Box<dyn LookupWork>,
    bytes: usize,
}

impl LookupThreads {
    /// Starts threads with this name and priority (`nice`, 0 as all others).
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn start(name: &str, (threads, nice): (usize, i32)) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            deadlines: Mutex::default(),
            deadline_added: Condvar::new(),
        });
        let timer = shared.clone();
        thread::Builder::new()
            .name(format!("{name}-timer"))
            .spawn(move || timer.watch_deadlines())?;
        for _ in 0..threads {
            let shared = shared.clone();
            let work = move || {
                set_priority(nice);
                shared.work_forever();
            };
            thread::Builder::new().name(name.to_owned()).spawn(work)?;
        }
        Ok(Self(ReadBy::Threads(shared)))
    }

    /// Something else gives the work its turns, in its own time.
    pub fn by(take: TakeWork) -> Self {
        Self(ReadBy::Other(take))
    }

    /// Takes a caller's work, which keeps `bytes` in memory. It gets turns until it's done, each on
    /// any of the threads. When too much work is waiting, it's broken off here.
    pub fn take(&self, caller: KeyId, bytes: usize, mut work: impl LookupWork + 'static) {
        let shared = match &self.0 {
            ReadBy::Caller => {
                while work.take_turn() == Turn::More {}
                return;
            }
            ReadBy::Other(take) => return take(Box::new(work)),
            ReadBy::Threads(shared) => shared,
        };
        let mut waiting = shared.lock();
        if !waiting.has_room(caller, bytes) {
            drop(waiting);
            return work.break_off(NotLookedUp::Busy);
        }
        waiting.count(caller, bytes);
        waiting.queue(caller, WaitingWork { work: Box::new(work), bytes }, false);
        drop(waiting);
        shared.wake.notify_one();
    }

    /// Expires something at this time, unless it's dropped before. Where the caller reads itself
    /// nothing waits, so nothing expires.
    pub fn expire_at(&self, deadline: Instant, what: Arc<impl Expire + 'static>) {
        let what: Arc<dyn Expire> = what;
        let shared = match &self.0 {
            ReadBy::Caller => return,
            ReadBy::Other(_) => {
                let what = Arc::downgrade(&what);
                tokio::spawn(async move {
                    tokio::time::sleep_until(deadline).await;
                    if let Some(what) = what.upgrade() {
                        what.expire();
                    }
                });
                return;
            }
            ReadBy::Threads(shared) => shared,
        };
        let mut deadlines = shared.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
        deadlines.push((deadline, Arc::downgrade(&what)));
        if deadlines.len() == 1 {
            shared.deadline_added.notify_one();
        }
    }

    /// Runs work of one turn and returns its result.
    ///
    /// # Errors
    /// When too much work is waiting.
    pub async fn run<T: Send + 'static>(
        &self,
        caller: KeyId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotLookedUp> {
        if matches!(self.0, ReadBy::Caller) {
            return Ok(work());
        }
        let (sender, result) = oneshot::channel();
        self.take(caller, 0, SingleTurn { work: Some(work), sender: Some(sender) });
        result.await.unwrap_or(Err(NotLookedUp::BrokenOff))
    }
}

/// Work of one turn, and who waits for its result: the caller may be gone.
struct SingleTurn<F, T> {
    work: Option<F>,
    sender: Option<oneshot::Sender<Result<T, NotLookedUp>>>,
}

impl<T: Send, F: FnOnce() -> T + Send> LookupWork for SingleTurn<F, T> {
    fn take_turn(&mut self) -> Turn {
        if let Some(result) = self.work.take().map(|work| work())
            && let Some(sender) = self.sender.take()
        {
            let _unread = sender.send(Ok(result));
        }
        Turn::Done
    }

    fn break_off(&mut self, why: NotLookedUp) {
        if let Some(sender) = self.sender.take() {
            let _unread = sender.send(Err(why));
        }
    }
}

fn set_priority(nice: i32) {
    if nice == 0 {
        return;
    }
    let own = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(own), nice) {
        tracing::warn!(%error, "lookups for doors run at normal priority");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_forever(&self) {
        loop {
            let (caller, mut next) = self.wait_for_work();
            match next.work.take_turn() {
                Turn::More => self.lock().queue(caller, next, true),
                Turn::Done => self.lock().forget(caller, next.bytes),
            }
        }
    }

    /// Expires what is due, and forgets what was dropped.
    fn watch_deadlines(&self) {
        loop {
            let mut deadlines = self.deadlines.lock().unwrap_or_else(PoisonError::into_inner);
            while deadlines.is_empty() {
                let added = self.deadline_added.wait(deadlines);
                deadlines = added.unwrap_or_else(PoisonError::into_inner);
            }
            let now = Instant::now();
            let mut due = Vec::new();
            deadlines.retain(|(deadline, what)| match what.upgrade() {
                Some(what) if *deadline <= now => {
                    due.push(what);
                    false
                }
                alive => alive.is_some(),
            });
            drop(deadlines);
            due.iter().for_each(|what| what.expire());
            thread::sleep(DEADLINES_EVERY);
        }
    }

    fn wait_for_work(&self) -> (KeyId, WaitingWork) {
        let mut waiting = self.lock();
        loop {
            match waiting.next() {
                Some(next) => return next,
                None => {
                    waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Waiting {
    /// Whether a caller may add work. One caller has a share: the rest is for the others.
    fn has_room(&self, caller: KeyId, bytes: usize) -> bool {
        let own = self.loads.get(&caller).copied().unwrap_or_default();
        own.has_room(bytes, LOOKUP_SHARE_OF_CALLER) && self.all.has_room(bytes, 1)
    }

    fn count(&mut self, caller: KeyId, bytes: usize) {
        self.all.add(bytes);
        self.loads.entry(caller).or_default().add(bytes);
    }

    fn forget(&mut self, caller: KeyId, bytes: usize) {
        self.all.remove(bytes);
        if let Some(own) = self.loads.get_mut(&caller) {
            own.remove(bytes);
            if own.count == 0 {
                self.loads.remove(&caller);
            }
        }
    }

    /// Queues work; `again`: it was begun, so it's the first of its caller's.
    fn queue(&mut self, caller: KeyId, work: WaitingWork, again: bool) {
        let own = self.queues.iter_mut().find(|(other, _)| *other == caller);
        match own {
            Some((_, queue)) if again => queue.push_front(work),
            Some((_, queue)) => queue.push_back(work),
            None => self.queues.push_back((caller, VecDeque::from([work]))),
        }
    }

    /// The next caller's first work. Its other work waits until the other callers had a turn.
    fn next(&mut self) -> Option<(KeyId, WaitingWork)> {
        let (caller, mut queue) = self.queues.pop_front()?;
        let work = queue.pop_front()?;
        if !queue.is_empty() {
            self.queues.push_back((caller, queue));
        }
        Some((caller, work))
    }
}

impl Load {
    /// Whether more fits in this share of the whole; the first piece always does.
    fn has_room(self, bytes: usize, share: usize) -> bool {
        self.count < LOOKUP_REQUESTS_MAX / share
            && (self.bytes == 0 || self.bytes.saturating_add(bytes) <= LOOKUP_BYTES_MAX / share)
    }

    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.count -= 1;
        self.bytes -= bytes;
    }
}

const _: () = assert!(LOOKUPS_AT_A_TIME > 0 && LOOKUP_SHARE_OF_CALLER > 1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const ONE: KeyId = KeyId(1);
    const OTHER: KeyId = KeyId(2);
    const SOON: Duration = Duration::from_secs(20);

    fn threads() -> LookupThreads {
        LookupThreads::start("lookups", (1, 0)).unwrap()
    }

    /// Keeps the only thread busy until the returned sender is dropped.
    fn occupy(threads: &LookupThreads) -> mpsc::Sender<()> {
        let (held, release) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let work = move || {
            began.send(()).unwrap();
            let _released = release.recv();
            Turn::Done
        };
        threads.take(KeyId(9), 0, work);
        begun.recv_timeout(SOON).unwrap();
        held
    }

    #[test]
    fn a_callers_large_work_lets_the_others_have_their_turns() {
        let threads = threads();
        let held = occupy(&threads);
        let (sender, done) = mpsc::channel();
        let work = |name: &'static str, turns: usize| {
            let (sender, mut left) = (sender.clone(), turns);
            move || {
                sender.send(name).unwrap();
                left -= 1;
                if left == 0 { Turn::Done } else { Turn::More }
            }
        };
        threads.take(ONE, 10, work("large", 4));
        threads.take(ONE, 10, work("second", 1));
        threads.take(OTHER, 10, work("single", 1));
        drop(held);
        let order: Vec<_> = (0..6).map(|_| done.recv_timeout(SOON).unwrap()).collect();
        assert_eq!(order, ["large", "single", "large", "large", "large", "second"]);
    }

    /// Work that says why it was broken off.
    struct Refusable(mpsc::Sender<NotLookedUp>);

    impl LookupWork for Refusable {
        fn take_turn(&mut self) -> Turn {
            Turn::Done
        }

        fn break_off(&mut self, why: NotLookedUp) {
            self.0.send(why).unwrap();
        }
    }

    #[test]
    fn waiting_work_is_bounded_and_one_caller_never_takes_all_places() {
        let threads = threads();
        let held = occupy(&threads);
        let (refused, refusals) = mpsc::channel();
        let take = |caller, bytes| {
            threads.take(caller, bytes, Refusable(refused.clone()));
            refusals.try_recv().map_or(Ok(()), Err)
        };
        let own_bytes = LOOKUP_BYTES_MAX / LOOKUP_SHARE_OF_CALLER;
        take(ONE, own_bytes).unwrap();
        assert_eq!(take(ONE, 1), Err(NotLookedUp::Busy));
        take(OTHER, own_bytes).unwrap();
        for _ in 0..LOOKUP_REQUESTS_MAX / LOOKUP_SHARE_OF_CALLER {
            take(KeyId(3), 0).unwrap();
        }
        assert_eq!(take(KeyId(3), 0), Err(NotLookedUp::Busy));
        take(KeyId(4), 0).unwrap();
        drop(held);
        let (sender, done) = mpsc::channel();
        let end = move || {
            sender.send(()).unwrap();
            Turn::Done
        };
        threads.take(KeyId(5), 0, end);
        done.recv_timeout(SOON).unwrap();
    }

    #[tokio::test]
    async fn without_threads_work_is_done_at_once() {
        let threads = LookupThreads::default();
        assert_eq!(threads.run(ONE, || 7).await, Ok(7));
        let (sender, done) = mpsc::channel();
        let mut turns = 3;
        let work = move || {
            turns -= 1;
            sender.send(turns).unwrap();
            if turns == 0 { Turn::Done } else { Turn::More }
        };
        threads.take(ONE, 0, work);
        assert_eq!(done.try_iter().collect::<Vec<_>>(), [2, 1, 0]);
    }
}
