//! The rules, one file per kind of command: a column of checks, then one change.
//!
//! The order of the checks is that of the numbers of `Rejection`: it is part of the public contract.

pub(crate) mod account;
pub(crate) mod checks;
pub(crate) mod day;
pub(crate) mod flows;
pub(crate) mod hold;
pub(crate) mod key;
pub(crate) mod limits;
pub(crate) mod refund;
pub(crate) mod returns;
pub(crate) mod reversal;
pub(crate) mod status;
pub(crate) mod transfer;
