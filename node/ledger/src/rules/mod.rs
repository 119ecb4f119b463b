//! The rules, one module per command. Each has a `judge`, a column of checks that changes nothing,
//! and an `apply`, which makes the change that passed them.
//!
//! The order of the checks follows the numbers of `Rejection`: it's part of the public contract.

pub(crate) mod account;
mod checks;
pub(crate) mod context;
pub(crate) mod day;
mod facts;
pub(crate) mod genesis;
pub(crate) mod hold;
pub(crate) mod key;
pub(crate) mod known_ids;
pub(crate) mod returns;
pub(crate) mod transfer;
pub(crate) mod verdict;
