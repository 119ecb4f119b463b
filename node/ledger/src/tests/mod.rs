//! The ledger's promises, one file each.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows panics, and that's what it's for"
)]

mod audits;
mod checkpoints;
mod commands;
mod damage;
mod days;
mod determinism;
mod digests;
mod entries;
mod groups;
mod history;
mod holds;
mod kept;
mod keys;
mod kinds;
mod known_ids;
mod limits;
mod model;
mod openings;
mod precedence;
mod refunds;
mod reversals;
mod shop;
mod speed;
mod tables;
pub(crate) mod world;
