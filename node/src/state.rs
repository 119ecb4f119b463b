//! What this node has applied: the ledger behind its lock, its digests, and who waits for it.
//!
//! Apply and reads take the lock for one entry or one answer; checkpoints and audits for one slice.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use evenkeel_storage::journal::Journal;
use evenkeel_wire::{
    day::BusinessDate,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome},
    reply::{AccountView, DayView, KeyView, Refusal, RefusalCode, View},
    request::Query,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::{
    history::{After, Events, History, Lost, Past, Remembers, Settlement},
    ledger::{CheckpointHead, Decided, EntryHead, Ledger, OpenHold, Unwell},
    limits::{DIGEST_EVERY, DIGESTS_KEPT, PAGES_WAITING_MAX},
};

/// An entry's place: its term and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub term: u64,
    pub position: u64,
}

/// The applied state. Shared by replication, doors and the keeper.
pub struct State {
    inner: Mutex<Inner>,
    history: Arc<History>,
    journal: Journal,
    pages: Arc<Semaphore>,
    applied: watch::Sender<Option<Place>>,
    keys_mark: AtomicU64,
    failed: watch::Sender<Option<String>>,
}

struct Inner {
    ledger: Ledger,
    digests: VecDeque<(u64, [u8; 32])>,
    /// A checkpoint that was begun and that the keeper hasn't taken over yet.
    begun: Option<Begun>,
    checkpoint_busy: bool,
    checkpoint_from: u64,
    checkpoints: CheckpointNotes,
    membership: Option<(Place, Bytes)>,
}

/// What came of checkpoints, for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointNotes {
    /// The newest that is finished, or that this start loaded.
    pub newest: Option<CheckpointNote>,
    begun: Option<CheckpointNote>,
    /// How many were given up.
    pub failures: u64,
}

/// Where a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointNote {
    pub position: u64,
    /// The ledger's time there, microseconds since the Unix epoch.
    pub time: u64,
}

/// A checkpoint whose rows wait to be copied.
#[derive(Debug)]
pub struct Begun {
    pub head: CheckpointHead,
    /// The newest membership record at that position.
    pub membership: Option<(Place, Bytes)>,
}

impl State {
    pub fn new(ledger: Ledger, history: Arc<History>, journal: Journal) -> Self {
        let keys_mark = AtomicU64::new(ledger.keys_mark());
        let place = ledger.last().map(|last| Place { term: last.term, position: last.position });
        let inner = Inner {
            ledger,
            digests: VecDeque::new(),
            begun: None,
            checkpoint_busy: false,
            checkpoint_from: 0,
            checkpoints: CheckpointNotes::default(),
            membership: None,
        };
        Self {
            inner: Mutex::new(inner),
            history,
            pages: Arc::new(Semaphore::new(PAGES_WAITING_MAX)),
            journal,
            applied: watch::Sender::new(place),
            keys_mark,
            failed: watch::Sender::new(None),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was decided before.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Looks at the ledger.
    pub fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.inner().ledger)
    }

    /// Applies an entry of commands; one answer for each of them.
    ///
    /// # Errors
    /// When the ledger is unwell: the node must stop.
    pub fn apply(&self, head: &EntryHead, body: &[u8]) -> Result<Vec<Answer>, Unwell> {
        let mut answers = Vec::new();
        let mut inner = self.inner();
        self.begin_checkpoint_at_boundary(&mut inner, head);
        let mut firsts = self.history.firsts(head.position);
        inner.ledger.apply(head, body, &mut firsts, &mut answers)?;
        // Still behind the lock: whoever finds the mark unchanged has seen nothing of what changed.
        self.keys_mark.store(inner.ledger.keys_mark(), Ordering::Release);
        self.applied_entry(inner, head);
        Ok(answers)
    }

    /// Passes over an entry that carries no commands.
    pub fn pass(&self, head: &EntryHead) {
        let mut inner = self.inner();
        self.begin_checkpoint_at_boundary(&mut inner, head);
        inner.ledger.pass(head);
        self.applied_entry(inner, head);
    }

    fn applied_entry(&self, mut inner: MutexGuard<'_, Inner>, head: &EntryHead) {
        if head.position.is_multiple_of(DIGEST_EVERY) {
            inner.take_digest();
        }
        drop(inner);
        self.applied.send_replace(Some(Place { term: head.term, position: head.position }));
    }

    /// The state in front of a segment's first entry is what a checkpoint holds: then every entry after it is in a
    /// segment that isn't sealed, and a start finds all outcomes either there or in an index.
    fn begin_checkpoint_at_boundary(&self, inner: &mut Inner, head: &EntryHead) {
        if inner.checkpoint_busy || head.position == 0 || head.position < inner.checkpoint_from {
            return;
        }
        if self.journal.begins_segment(head.position)
            && let Some(begun) = inner.ledger.checkpoint_begin(false)
        {
            let time = inner.ledger.time();
            inner.checkpoints.begun = Some(CheckpointNote { position: begun.position, time });
            inner.begun = Some(Begun { head: begun, membership: inner.membership.clone() });
            inner.checkpoint_busy = true;
        }
    }

    /// No checkpoint of a state in front of this position is begun: while replaying, only the newest one is worth it.
    pub fn checkpoint_only_from(&self, position: u64) {
        self.inner().checkpoint_from = position;
    }

    /// The newest membership record: its place and payload.
    pub fn membership(&self) -> Option<(Place, Bytes)> {
        self.inner().membership.clone()
    }

    /// Notes a membership record that is about to be passed.
    pub fn set_membership(&self, place: Place, payload: Bytes) {
        self.inner().membership = Some((place, payload));
    }

    /// A checkpoint that was begun and waits to be written.
    pub fn begun_checkpoint(&self) -> Option<Begun> {
        self.inner().begun.take()
    }

    /// The checkpoint is written, or given up.
    pub fn end_checkpoint(&self, written: bool) {
        let mut inner = self.inner();
        inner.ledger.checkpoint_end(written);
        inner.checkpoint_busy = false;
        let begun = inner.checkpoints.begun.take();
        if written {
            inner.checkpoints.newest = begun.or(inner.checkpoints.newest);
        } else {
            inner.checkpoints.failures += 1;
        }
    }

    /// The ledger is as a checkpoint held it: nothing was applied since.
    pub fn loaded_from_checkpoint(&self) {
        let mut inner = self.inner();
        let time = inner.ledger.time();
        let position = inner.ledger.position();
        inner.checkpoints.newest = position.map(|position| CheckpointNote { position, time });
    }

    /// What came of checkpoints so far.
    pub fn checkpoints(&self) -> CheckpointNotes {
        self.inner().checkpoints
    }

    /// Takes a digest of the state as it stands, once for each position.
    pub fn digest_now(&self) {
        self.inner().take_digest();
    }

    /// The last digests, oldest first.
    pub fn digests(&self) -> Vec<(u64, [u8; 32])> {
        self.inner().digests.iter().copied().collect()
    }

    /// Tells when an entry was applied.
    pub fn applied(&self) -> watch::Receiver<Option<Place>> {
        self.applied.subscribe()
    }

    /// Waits until so much is applied; `false`: it isn't within that time.
    pub async fn reached(&self, position: u64, patience: Duration) -> bool {
        let mut applied = self.applied();
        let far = |place: &Option<Place>| place.is_some_and(|place| place.position >= position);
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
    pub fn last_time(&self) -> u64 {
        self.inner().ledger.time()
    }

    /// Whether genesis is applied.
    pub fn founded(&self) -> bool {
        self.inner().ledger.founded().is_some()
    }

    /// The key whose text has this blake3, also when it's revoked.
    pub fn key(&self, hash: &[u8; 32]) -> Option<KeyView> {
        self.inner().ledger.key(hash)
    }

    /// A number that is another one whenever the keys have changed: whoever remembers some knows when to ask again.
    pub fn keys_mark(&self) -> u64 {
        self.keys_mark.load(Ordering::Acquire)
    }

    /// A place among the pages of histories that are read at a time; `None`: all are taken.
    pub fn place_for_a_page(&self) -> Option<OwnedSemaphorePermit> {
        self.pages.clone().try_acquire_owned().ok()
    }

    /// Everything that was decided, for one question.
    pub fn past(&self) -> Past<'_> {
        Past::new(&self.history, self)
    }

    /// Takes notes on recent entries for accounts' histories, about so many bytes of them. Says whether more are left.
    ///
    /// # Errors
    /// When something can't be had at the moment.
    pub fn follow(&self, bytes_max: usize) -> Result<bool, Lost> {
        self.past().follow(bytes_max)
    }

    /// The next events after a place, at most `max` of them; of what is applied. Reads files.
    ///
    /// # Errors
    /// When they can't be had at the moment.
    pub fn events(&self, after: After, max: usize) -> Result<Events, Refusal> {
        Ok(self.past().events(after, max)?)
    }

    /// The settlement of a closed business day. Walks its part of the journal: seconds for millions of movements.
    ///
    /// # Errors
    /// When the day isn't closed, or something can't be had at the moment.
    pub fn settlement(&self, date: BusinessDate) -> Result<Settlement, Refusal> {
        self.past().settlement(date)?.ok_or_else(|| not_found(&format!("no closed day {date}")))
    }

    /// Answers from what is applied. Reads files.
    ///
    /// # Errors
    /// When what is asked for isn't there or can't be read.
    pub fn query(&self, query: &Query) -> Result<View, Refusal> {
        match query {
            Query::Account(id) => Remembers::account(self, *id)
                .map(View::Account)
                .ok_or_else(|| not_found(&format!("no account {id}"))),
            Query::Totals => Ok(View::Totals(self.with_ledger(|ledger| ledger.totals()))),
            Query::Transfer(id) => self
                .past()
                .transfer(*id)?
                .map(|view| View::Transfer(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no transfer {id}"))),
            Query::Hold(id) => self
                .past()
                .hold(*id)?
                .map(|view| View::Hold(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no hold {id}"))),
            Query::History { account, limit, before } => {
                if Remembers::account(self, *account).is_none() {
                    return Err(not_found(&format!("no account {account}")));
                }
                Ok(View::History(self.past().page(*account, *limit, *before)?))
            }
            Query::Day(date) => Remembers::day(self, *date)
                .map(|view| View::Day(Box::new(view)))
                .ok_or_else(|| not_found(&format!("no closed day {date}"))),
            Query::Keys => Ok(View::Keys(self.with_ledger(|ledger| ledger.keys()))),
            Query::Key(hash) => {
                let found = self.with_ledger(|ledger| ledger.key(hash));
                Ok(View::Keys(found.into_iter().collect()))
            }
            Query::Position => self
                .position()
                .map(View::Position)
                .ok_or_else(|| Refusal::new(RefusalCode::Recovering, "nothing is applied yet")),
        }
    }

    /// The node can't go on; says why.
    pub fn fail(&self, why: &str) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Tells when the node can't go on.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }
}

impl Remembers for State {
    fn position(&self) -> Option<u64> {
        Self::position(self)
    }

    fn first_answer(&self, id: CommandId) -> Option<(u64, u16, Outcome)> {
        self.with_ledger(|ledger| ledger.find_recent(id))
    }

    fn outcomes_of(&self, position: u64) -> Option<Vec<Decided>> {
        self.with_ledger(|ledger| ledger.outcomes_of(position).map(<[_]>::to_vec))
    }

    fn outcome_of(&self, position: u64, command: u16) -> Option<Decided> {
        self.with_ledger(|ledger| ledger.outcomes_of(position)?.get(usize::from(command)).copied())
    }

    fn resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        self.with_ledger(|ledger| ledger.resolution_recent(hold))
    }

    fn open_hold(&self, id: CommandId) -> (Option<OpenHold>, u64) {
        self.with_ledger(|ledger| (ledger.hold(id), ledger.time()))
    }

    fn account(&self, id: AccountId) -> Option<AccountView> {
        self.with_ledger(|ledger| ledger.account(id))
    }

    fn day(&self, date: BusinessDate) -> Option<DayView> {
        self.with_ledger(|ledger| ledger.day(date))
    }

    fn paid_back(&self, movements: &[CommandId]) -> Vec<(u64, Option<CommandId>)> {
        self.with_ledger(|ledger| {
            let of = |id: &CommandId| (ledger.refunded(*id), ledger.reversed_by(*id));
            movements.iter().map(of).collect()
        })
    }
}

fn not_found(what: &str) -> Refusal {
    Refusal::new(RefusalCode::NotFound, what)
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
