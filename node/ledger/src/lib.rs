//! The ledger: what committed commands do to accounts. It holds all replicated state in memory.
//!
//! Pure and deterministic: no IO, no clock, no visible randomness, no iteration in hash order.
//! Every node applies the same entries and must reach the same digest. Time arrives in the entry,
//! in microseconds since the Unix epoch; amounts are in the asset's minor unit. First answers that
//! have left memory come from [`JournalLookup`], whose answers are equal on every node.
//!
//! A rejection is an outcome. A [`LedgerFault`] is a broken invariant: the node must stop, and the
//! ledger refuses all further entries. The ledger never logs, never blocks and never iterates over
//! all accounts in one call.
//!
//! Layers, each of which uses only those below it:
//!
//! ```text
//! ledger, queries    the public type
//! entry              one entry: decode, judge, apply, record     checkpoint   rows, audit, digest
//! rules              one module per command: judge, apply            |
//! tables             the replicated state  <--------------------------+
//! containers         hash table, chunked rows, sorted table
//! ```
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod checkpoint;
mod containers;
mod entry;
mod fault;
mod journal;
mod ledger;
mod queries;
mod rules;
mod tables;

#[cfg(test)]
mod tests;

pub use checkpoint::{
    audit::AuditProgress,
    load::CheckpointLoader,
    rows::{CheckpointAccount, CheckpointMarker, CheckpointRow},
    write::{CheckpointHead, LEDGER_FORMAT},
};
pub use containers::memory::MemoryAdvice;
pub use entry::apply::AppliedCounts;
pub use fault::LedgerFault;
pub use journal::{EntryHead, JournalLookup, NeededLookup, RecordedCommand};
pub use ledger::Ledger;
pub use tables::{
    genesis::check_genesis,
    holds::OpenHold,
    recent::{DecidedOutcome, ForgottenOutcomes},
};
