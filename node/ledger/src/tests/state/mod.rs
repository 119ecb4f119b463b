//! The state as a whole: digests, audits, checkpoints.

mod audits;
pub(crate) mod checkpoints;
mod damage;
mod digests;
mod small_tables;
