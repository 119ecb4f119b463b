//! The replicated state: what the ledger remembers of accounts, holds, keys, days and movements.

pub(crate) mod accounts;
pub(crate) mod days;
pub(crate) mod facts;
pub(crate) mod holds;
pub(crate) mod kept_rows;
pub(crate) mod keys;
pub(crate) mod recent;
pub(crate) mod refunds;
pub(crate) mod reversals;
