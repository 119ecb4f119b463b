//! The history of decided commands: movements and holds by id, accounts' histories, events,
//! settlements, and the first answers that apply looks up.
//!
//! Sealed segments are read through their indexes, open ones through the ledger's memory of recent
//! entries and the recent index. Commands are always read from the journal: there's no second copy.
//! Facts of a command never change; the current state of its subject comes from the ledger.
//!
//! It never judges and never writes. It reads files: never call it on a thread that must not block.

mod command_reader;
mod events;
mod facts;
mod history_reader;
mod holds;
mod lookup;
mod page;
mod prefetch;
mod recent_index;
pub mod record_kind;
mod rows;
mod settlement;
mod threads;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use evenkeel_storage::{
    disk::is_transient,
    journal::{
        Journal, ReadError,
        index::{FindError, Indexes},
    },
};
use evenkeel_wire::reply::{Refusal, RefusalCode};

pub use events::{AccountChange, Event, EventCursor, EventKind, EventPage, Subject};
pub use history_reader::{DecidedCommand, HistoryReader, ReadLedger};
pub use lookup::HistoryLookup;
pub use prefetch::{FoundParties, ResolvedLookups};
pub use rows::command_row;
pub use settlement::{BankRow, MerchantRow, Settlement};
pub use threads::{Expire, LookupThreads, LookupWork, NotLookedUp, TakeWork, Turn};
pub use walk::{decode_commands, range_in_body, stamp};

use self::recent_index::RecentIndex;

/// The history of one node.
pub struct History {
    journal: Journal,
    indexes: Arc<Indexes>,
    recents: RecentIndex,
}

impl History {
    pub fn new(journal: Journal, indexes: Arc<Indexes>) -> Self {
        Self { journal, indexes, recents: RecentIndex::default() }
    }

    /// The indexes of the sealed segments.
    pub fn indexes(&self) -> &Arc<Indexes> {
        &self.indexes
    }

    /// The lookups of apply while it applies the entry `applying`: only earlier entries count as
    /// decided. `resolved` were made already.
    pub fn lookup_before(&self, applying: u64, resolved: ResolvedLookups) -> HistoryLookup<'_> {
        HistoryLookup::new(self, applying, resolved)
    }
}

/// Something exists but can't be read: an index is being rebuilt, or a file is unreadable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct HistoryError {
    what: String,
    may_pass: bool,
}

impl HistoryError {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), may_pass: false }
    }

    /// Whether a file couldn't be opened for the moment: nothing is wrong with what it holds.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }
}

impl From<FindError> for HistoryError {
    fn from(error: FindError) -> Self {
        let may_pass = matches!(error, FindError::Unreadable { .. });
        Self { what: error.to_string(), may_pass }
    }
}

impl From<ReadError> for HistoryError {
    fn from(error: ReadError) -> Self {
        let may_pass = matches!(&error, ReadError::Io { source, .. } if is_transient(source));
        Self { what: error.to_string(), may_pass }
    }
}

impl From<NotLookedUp> for Refusal {
    fn from(error: NotLookedUp) -> Self {
        Self::new(RefusalCode::Overloaded, &error.to_string())
    }
}

impl From<HistoryError> for Refusal {
    fn from(lost: HistoryError) -> Self {
        Self::new(RefusalCode::Recovering, &lost.what)
    }
}
