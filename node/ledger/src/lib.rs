//! The ledger: what committed commands do to accounts. Everything that is replicated, in memory.
//!
//! Pure and deterministic: no IO, no clock, no randomness that could show, no iteration in the order of a hash. Every
//! node runs it over the same entries and must reach the same digest. Time arrives in the entry, microseconds since
//! the Unix epoch; amounts are in the asset's minor unit. What it can't know by itself (the first answers to ids that
//! left memory) it asks [`JournalLookup`], whose answers are the same on every node.
//!
//! A rejection is an outcome. [`LedgerFault`] means that a belief is broken: the node must stop, and the ledger refuses
//! every further entry. It never logs, never blocks and never iterates over all accounts at once.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod checkpoint;
mod containers;
mod entry;
mod genesis;
mod known_ids;
mod rules;
mod tables;

#[cfg(test)]
mod tests;

use evenkeel_wire::{
    day::BusinessDate,
    genesis::Genesis,
    id::{AccountId, CommandId},
    outcome::Outcome,
    reply::{AccountView, Totals},
};

pub use checkpoint::audit::AuditProgress;
pub use checkpoint::load::CheckpointLoader;
pub use checkpoint::rows::{CheckpointAccount, CheckpointMarker, CheckpointRow};
pub use checkpoint::write::{CheckpointHead, LEDGER_FORMAT};
pub use containers::memory::MemoryAdvice;
pub use entry::apply::AppliedCounts;
pub use genesis::check_genesis;
pub use known_ids::{JournalLookup, RecordedCommand};
pub use tables::holds::OpenHold;
pub use tables::recent::{DecidedOutcome, ForgottenOutcomes};

use self::{
    checkpoint::digest::OutcomesDigest,
    containers::ids::HashSeed,
    entry::undo::UndoLog,
    genesis::GenesisRecord,
    tables::{
        accounts::Accounts, days::Days, holds::Holds, keys::Keys, recent::RecentOutcomes,
        refunds::Refunds, reversals::Reversals,
    },
};

/// What the journal says of an entry besides its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The entry's number in the journal.
    pub position: u64,
    /// The election number of the primary that made it.
    pub term: u64,
    /// The primary's stamp, microseconds since the Unix epoch.
    pub time: u64,
    /// The entry's link.
    pub link: [u8; 32],
}

/// A broken belief: money leaked, an entry can't be decoded, a lookup failed. The node must stop and say this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFault(String);

impl LedgerFault {
    /// With what is broken, by name.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Display for LedgerFault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for LedgerFault {}

/// All replicated state.
pub struct Ledger {
    genesis: Option<GenesisRecord>,
    accounts: Accounts,
    holds: Holds,
    refunds: Refunds,
    reversals: Reversals,
    keys: Keys,
    days: Days,
    recent: RecentOutcomes,
    outcomes: OutcomesDigest,
    last: Option<EntryHead>,
    /// The latest stamp of any entry: time never runs backwards.
    time: u64,
    seed: HashSeed,
    undo: UndoLog,
    /// The audit has looked at all accounts and is at this one of the tables besides them.
    audits_table: Option<usize>,
    fault: Option<LedgerFault>,
    #[cfg(any(test, evenkeel_planted))]
    planted_leak: bool,
}

impl Ledger {
    /// Before genesis.
    #[must_use]
    pub fn new(advice: MemoryAdvice) -> Self {
        Self::with_seed(HashSeed::random(), advice)
    }

    fn with_seed(seed: HashSeed, advice: MemoryAdvice) -> Self {
        Self {
            genesis: None,
            accounts: Accounts::new(seed, advice),
            holds: Holds::default(),
            refunds: Refunds::default(),
            reversals: Reversals::default(),
            keys: Keys::new(seed),
            days: Days::new(),
            recent: RecentOutcomes::new(advice),
            outcomes: OutcomesDigest::default(),
            last: None,
            time: 0,
            seed,
            undo: UndoLog::default(),
            audits_table: None,
            fault: None,
            #[cfg(any(test, evenkeel_planted))]
            planted_leak: is_planted("leak"),
        }
    }

    /// The genesis, once it's applied.
    #[must_use]
    pub fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref().map(|founded| &founded.genesis)
    }

    /// The newest entry.
    #[must_use]
    pub fn last_entry(&self) -> Option<&EntryHead> {
        self.last.as_ref()
    }

    /// The newest entry's position.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.last.map(|last| last.position)
    }

    /// The ledger's time: the latest stamp of any entry, microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Why the ledger takes no more entries, if so.
    #[must_use]
    pub fn fault(&self) -> Option<&LedgerFault> {
        self.fault.as_ref()
    }

    /// How many accounts there are.
    #[must_use]
    pub fn account_count(&self) -> usize {
        self.accounts.count()
    }

    /// An account as it stands.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<AccountView> {
        let slot = self.accounts.find(id)?;
        Some(self.accounts.view(slot, self.position().unwrap_or(0), self.date_number()))
    }

    /// A hold, while it's open. Its time may be up and its release not written yet.
    #[must_use]
    pub fn open_hold(&self, id: CommandId) -> Option<OpenHold> {
        self.holds.get(id).copied()
    }

    /// The open holds whose time is up at `now` (microseconds since the Unix epoch), at most `max`, in the order of their
    /// times and ids: whoever makes entries releases them.
    #[must_use]
    pub fn due_holds(&self, now: u64, max: usize) -> Vec<CommandId> {
        self.holds.due_holds(now, max)
    }

    /// When the time of the next open hold is up, microseconds since the Unix epoch.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        self.holds.next_expiry()
    }

    /// The entry and the command's number that closed a hold, where the ledger still remembers it.
    #[must_use]
    pub fn find_recent_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
        self.recent.find_resolution(hold)
    }

    /// The business date; `None` before genesis.
    #[must_use]
    pub fn business_date(&self) -> Option<BusinessDate> {
        self.genesis.as_ref().map(|_| self.days.date())
    }

    /// The business date as rows have it.
    #[inline]
    fn date_number(&self) -> u32 {
        self.days.date().number()
    }

    /// The sums by asset and kind of account.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let assets = match &self.genesis {
            Some(founded) => self.accounts.totals().views(&founded.genesis.assets),
            None => Vec::new(),
        };
        Totals { position: self.position().unwrap_or(0), assets }
    }

    /// Over all replicated state: nodes at the same position have the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        checkpoint::digest::ledger_digest(self)
    }

    /// The outcomes of an entry whose ids are still in memory, one for each command, in order. `None`: forgotten, or
    /// an entry without commands.
    #[must_use]
    pub fn outcomes_of(&self, position: u64) -> Option<&[DecidedOutcome]> {
        self.recent.outcomes_of(position)
    }

    /// Position, command's number and outcome of the first answer to an id, where the ledger still remembers it.
    #[must_use]
    pub fn find_recent(&self, id: CommandId) -> Option<(u64, u16, Outcome)> {
        self.recent.find(id, self.seed.hash(id.number()))
    }

    /// Entries up to here are in sealed segments whose indexes can be asked: their ids may leave memory. Whole
    /// generations go, never the newest. Dropping what's given back takes milliseconds: do it elsewhere.
    #[must_use = "drop it where a few milliseconds don't matter"]
    pub fn forget_through(&mut self, position: u64) -> ForgottenOutcomes {
        self.recent.forget_through(position)
    }

    /// Writes a checkpoint's head and takes the rows that it consists of: all, or those that changed since the last
    /// finished one. After a checkpoint that wasn't written, and after a start without one, it's always all.
    /// `None`: nothing was applied yet, or the ledger is unwell.
    pub fn checkpoint_begin(&mut self, all: bool) -> Option<CheckpointHead> {
        checkpoint::write::begin(self, all)
    }
}

/// Whether a bug was planted: builds with `--cfg evenkeel_planted` have some, to show that they're caught.
#[cfg(any(test, evenkeel_planted))]
fn is_planted(bug: &str) -> bool {
    cfg!(evenkeel_planted) && std::env::var("EVENKEEL_PLANT").is_ok_and(|planted| planted == bug)
}
