//! The applied state: the ledger behind its lock, its digests, and notifications of progress. It
//! never answers from a record or an index that wasn't checked.
//!
//! Apply and reads hold the lock for one entry or one answer, checkpoints and audits for one slice.

pub mod checkpoint_rows;
mod checkpointing;
pub mod freshness;
pub mod memory;
mod queries;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use evenkeel_storage::journal::Journal;
use evenkeel_wire::{id::CommandId, outcome::Answer, reply::KeyView};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{
    history::{History, LookupThreads, ResolvedLookups},
    limits::{
        DIGEST_EVERY, DIGESTS_KEPT, DOOR_READERS, DOOR_READERS_NICE, PAGE_THREADS_MAX,
        PAGES_WAITING_MAX, REPLICATION_READERS,
    },
    telemetry::panic_if_planted,
};
use evenkeel_ledger::{EntryHead, Ledger, LedgerFault, NeededLookup};

pub use checkpointing::{BegunCheckpoint, CheckpointPosition, CheckpointStatus};

/// How long a task that has ended waits for the reason, before it's called one.
const ENDED_TASK_PAUSE: Duration = Duration::from_secs(2);

/// A location in the journal: term and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub term: u64,
    pub position: u64,
}

/// The applied state. Shared by replication, doors and the keeper.
pub struct AppliedState {
    inner: Mutex<Inner>,
    history: Arc<History>,
    journal: Journal,
    pages: Arc<Semaphore>,
    page_turns: Arc<Semaphore>,
    applied: watch::Sender<Option<LogPosition>>,
    keys_digest: AtomicU64,
    failed: watch::Sender<Option<String>>,
    broken: AtomicBool,
    threads: OnceLock<ReadThreads>,
    /// The latest time of an id that has left memory, milliseconds; 0: none has.
    forgotten_ms: AtomicU64,
}

/// The threads that read files for callers who must not wait. By default there are none, and files
/// are read where the question is asked.
#[derive(Clone, Default)]
pub struct ReadThreads {
    /// For replication: lookups of entries, and the log.
    pub replication: LookupThreads,
    /// For doors and their callers.
    pub doors: LookupThreads,
}

pub(crate) struct Inner {
    ledger: Ledger,
    digests: VecDeque<(u64, [u8; 32])>,
    /// A checkpoint that was begun and that the keeper hasn't taken yet.
    begun: Option<BegunCheckpoint>,
    checkpoint_busy: bool,
    checkpoint_from: u64,
    checkpoints: CheckpointStatus,
    membership: Option<(LogPosition, Bytes)>,
}

impl AppliedState {
    pub fn new(ledger: Ledger, history: Arc<History>, journal: Journal) -> Self {
        let keys_mark = AtomicU64::new(ledger.keys_digest());
        let forgotten_ms = AtomicU64::new(ledger.forgotten_through_ms().unwrap_or(0));
        let place = ledger
            .last_entry()
            .map(|last| LogPosition { term: last.term, position: last.position });
        let inner = Inner {
            ledger,
            digests: VecDeque::new(),
            begun: None,
            checkpoint_busy: false,
            checkpoint_from: 0,
            checkpoints: CheckpointStatus::default(),
            membership: None,
        };
        Self {
            inner: Mutex::new(inner),
            history,
            pages: Arc::new(Semaphore::new(PAGES_WAITING_MAX)),
            page_turns: Arc::new(Semaphore::new(PAGE_THREADS_MAX)),
            journal,
            applied: watch::Sender::new(place),
            keys_digest: keys_mark,
            failed: watch::Sender::new(None),
            threads: OnceLock::new(),
            forgotten_ms,
            broken: AtomicBool::new(false),
        }
    }

    /// Starts the threads that read files, before anything is applied or asked.
    ///
    /// # Errors
    /// When a thread can't be started.
    ///
    /// # Panics
    /// When they were started before.
    pub fn start_read_threads(self: &Arc<Self>) -> io::Result<()> {
        self.set_read_threads(ReadThreads {
            replication: LookupThreads::start("lookups", (REPLICATION_READERS, 0))?,
            doors: LookupThreads::start("door-lookups", (DOOR_READERS, DOOR_READERS_NICE))?,
        });
        Ok(())
    }

    /// Sets what reads files, before anything is applied or asked.
    ///
    /// # Panics
    /// When it was set before.
    pub fn set_read_threads(&self, threads: ReadThreads) {
        assert!(self.threads.set(threads).is_ok(), "the threads are started once");
    }

    /// The threads that read files.
    pub fn read_threads(&self) -> ReadThreads {
        self.threads.get().cloned().unwrap_or_default()
    }

    fn lock_inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history of decided commands.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Calls `look` with the ledger, behind the lock.
    pub fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.lock_inner().ledger)
    }

    /// Applies an entry of commands and returns one answer for each of them.
    ///
    /// # Errors
    /// When the ledger is faulty: the node must stop.
    pub fn apply(&self, head: &EntryHead, body: &[u8]) -> Result<Vec<Answer>, LedgerFault> {
        self.apply_resolved(head, body, ResolvedLookups::default())
    }

    /// The lookups outside of memory that the next entry may need, to be made before it's applied.
    /// Ids that no index can have are left out: apply finds that out without a file. After a start,
    /// those are all fresh ids for some minutes.
    pub fn find_lookups(&self, body: &[u8]) -> Vec<NeededLookup> {
        let mut needed = self.lock_inner().ledger.find_lookups(body);
        needed.retain(|lookup| match lookup {
            NeededLookup::Id { id, .. } => self.history.indexes().may_contain(id.number()),
            NeededLookup::Command { .. } => true,
        });
        needed
    }

    /// Applies an entry whose lookups were made since the last entry was applied.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_resolved(
        &self,
        head: &EntryHead,
        body: &[u8],
        resolved: ResolvedLookups,
    ) -> Result<Vec<Answer>, LedgerFault> {
        let mut answers = Vec::new();
        let mut inner = self.lock_inner();
        panic_if_planted("apply");
        self.begin_checkpoint_at_boundary(&mut inner, head);
        let mut firsts = self.history.lookup_before(head.position, resolved);
        inner.ledger.apply(head, body, &mut firsts, &mut answers)?;
        // Still behind the lock: a reader that finds the digest unchanged has seen no changed key.
        self.keys_digest.store(inner.ledger.keys_digest(), Ordering::Release);
        self.publish_applied(inner, head);
        Ok(answers)
    }

    /// Whether an id may lie in a sealed segment and have left memory. May be some entries old:
    /// then the ids that were forgotten since count as recent.
    pub fn may_be_sealed(&self, id: CommandId) -> bool {
        id.timestamp_ms() <= self.forgotten_ms.load(Ordering::Relaxed)
            && self.history.indexes().may_contain(id.number())
    }

    /// Skips an entry that carries no commands.
    ///
    /// # Errors
    /// When the ledger is faulty: the node must stop.
    pub fn skip_entry(&self, head: &EntryHead) -> Result<(), LedgerFault> {
        let mut inner = self.lock_inner();
        self.begin_checkpoint_at_boundary(&mut inner, head);
        inner.ledger.skip_entry(head)?;
        self.publish_applied(inner, head);
        Ok(())
    }

    fn publish_applied(&self, mut inner: MutexGuard<'_, Inner>, head: &EntryHead) {
        if head.position.is_multiple_of(DIGEST_EVERY) {
            inner.take_digest();
        }
        let forgotten = inner.ledger.forgotten_through_ms().unwrap_or(0);
        drop(inner);
        self.forgotten_ms.store(forgotten, Ordering::Relaxed);
        self.applied.send_replace(Some(LogPosition { term: head.term, position: head.position }));
    }

    /// The newest membership record: its position and payload.
    pub fn membership(&self) -> Option<(LogPosition, Bytes)> {
        self.lock_inner().membership.clone()
    }

    /// Stores a membership record before its entry is skipped.
    pub fn set_membership(&self, place: LogPosition, payload: Bytes) {
        self.lock_inner().membership = Some((place, payload));
    }

    /// Takes a digest of the current state, at most one for each position.
    pub fn digest_now(&self) {
        self.lock_inner().take_digest();
    }

    /// The last digests, oldest first.
    pub fn digests(&self) -> Vec<(u64, [u8; 32])> {
        self.lock_inner().digests.iter().copied().collect()
    }

    /// Watches the newest applied entry.
    pub fn watch_applied(&self) -> watch::Receiver<Option<LogPosition>> {
        self.applied.subscribe()
    }

    /// Waits until `position` is applied; `false`: it isn't within `patience`.
    pub async fn wait_applied(&self, position: u64, patience: Duration) -> bool {
        let mut applied = self.watch_applied();
        let far =
            |place: &Option<LogPosition>| place.is_some_and(|place| place.position >= position);
        timeout(patience, applied.wait_for(far)).await.is_ok_and(|reached| reached.is_ok())
    }

    /// The newest applied entry's position.
    pub fn position(&self) -> Option<u64> {
        self.applied.borrow().map(|place| place.position)
    }

    /// The newest applied entry's term.
    pub fn applied_term(&self) -> Option<u64> {
        self.applied.borrow().map(|place| place.term)
    }

    /// The ledger's time, microseconds since the Unix epoch.
    pub fn ledger_time(&self) -> u64 {
        self.lock_inner().ledger.time()
    }

    /// Whether genesis is applied.
    pub fn is_bootstrapped(&self) -> bool {
        self.lock_inner().ledger.genesis().is_some()
    }

    /// The key whose text has this blake3 hash, even if it's revoked.
    pub fn key(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.lock_inner().ledger.key(hash)
    }

    /// A number that changes whenever the keys change, for callers that cache keys.
    pub fn keys_digest(&self) -> u64 {
        self.keys_digest.load(Ordering::Acquire)
    }

    /// A slot for a history page; `None`: all are taken.
    pub fn try_acquire_page_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.pages.clone().try_acquire_owned().ok()
    }

    /// The turn to read a history page; given back when it's dropped.
    pub async fn acquire_page_turn(&self) -> OwnedSemaphorePermit {
        self.page_turns.clone().acquire_owned().await.expect("it's never closed")
    }

    /// Records that the node can't go on, and why.
    pub fn fail(&self, why: &str) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// The same for a copy that must not simply be started again: its state can't be right.
    pub fn fail_as_broken(&self, why: &str) {
        self.broken.store(true, Ordering::Release);
        self.fail(why);
    }

    /// Whether this copy's state can't be right.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Whether a read has found damage in this copy's journal.
    pub fn is_damaged(&self) -> bool {
        self.journal.damage_found()
    }

    /// Runs a task that must never end while the node runs: if it does, the node fails. (A panic
    /// ends the process by itself.)
    pub async fn watch_task(self: Arc<Self>, what: &'static str, task: impl Future<Output = ()>) {
        task.await;
        // The tasks of a node that is stopping end, too, and their waiting ends with the runtime.
        // A reason that ended this task comes first.
        tokio::time::sleep(ENDED_TASK_PAUSE).await;
        self.fail(&format!("{what} has ended by itself: a bug; report it"));
    }

    /// Watches for the reason that the node can't go on.
    pub fn watch_failure(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }
}

impl Inner {
    fn take_digest(&mut self) {
        let Some(position) = self.ledger.position() else { return };
        if self.digests.back().is_some_and(|(last, _)| *last == position) {
            return;
        }
        if self.digests.len() == DIGESTS_KEPT {
            self.digests.pop_front();
        }
        self.digests.push_back((position, self.ledger.digest()));
    }
}
