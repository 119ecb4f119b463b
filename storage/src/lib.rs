//! What stays on disk.
#![warn(missing_docs)]

pub mod balances;

/// Where a record stands in the journal.
pub type Position = u64;

/// A link of the journal's hash chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub [u8; 32]);
