//! The replicated state: accounts, holds, refunds, reversals, keys, days and recent outcomes.
//!
//! Tables hold rows together with everything that must change with them: sums, digests, the state
//! of a running checkpoint or audit, and the undo log of an atomic group. They judge nothing.

pub(crate) mod accounts;
pub(crate) mod days;
pub(crate) mod genesis;
pub(crate) mod holds;
pub(crate) mod keys;
pub(crate) mod outcomes;
pub(crate) mod recent;
pub(crate) mod refunds;
mod reserved;
pub(crate) mod reversals;
mod undo;

use evenkeel_wire::genesis::Genesis;

use self::{
    accounts::Accounts, days::Days, genesis::GenesisRecord, holds::Holds, keys::Keys,
    outcomes::OutcomesDigest, recent::RecentOutcomes, refunds::Refunds, reversals::Reversals,
    undo::UndoLog,
};
use crate::{
    containers::{ids::HashSeed, memory::MemoryAdvice},
    journal::EntryHead,
};

/// All tables.
pub(crate) struct Tables {
    pub(crate) genesis: Option<GenesisRecord>,
    pub(crate) accounts: Accounts,
    pub(crate) holds: Holds,
    pub(crate) refunds: Refunds,
    pub(crate) reversals: Reversals,
    pub(crate) keys: Keys,
    pub(crate) days: Days,
    pub(crate) recent: RecentOutcomes,
    pub(crate) outcomes: OutcomesDigest,
    /// The newest entry.
    pub(crate) last: Option<EntryHead>,
    /// The latest stamp of any entry: time never runs backwards.
    pub(crate) time: u64,
    /// The seed of all hashes of ids.
    pub(crate) seed: HashSeed,
    undo: UndoLog,
    #[cfg(any(test, evenkeel_planted))]
    pub(crate) planted_leak: bool,
}

impl Tables {
    /// Before genesis.
    pub(crate) fn new(seed: HashSeed, advice: MemoryAdvice) -> Self {
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
            #[cfg(any(test, evenkeel_planted))]
            planted_leak: is_planted("leak"),
        }
    }

    pub(crate) fn genesis(&self) -> Option<&Genesis> {
        self.genesis.as_ref().map(|record| &record.genesis)
    }

    /// The newest entry's position.
    pub(crate) fn position(&self) -> Option<u64> {
        self.last.map(|last| last.position)
    }

    /// The business date as rows have it.
    #[inline]
    pub(crate) fn date_number(&self) -> u32 {
        self.days.date().number()
    }
}

/// Whether a bug was planted: builds with `--cfg evenkeel_planted` have some, to show that the
/// checks catch them.
#[cfg(any(test, evenkeel_planted))]
fn is_planted(bug: &str) -> bool {
    cfg!(evenkeel_planted) && std::env::var("EVENKEEL_PLANT").is_ok_and(|planted| planted == bug)
}
