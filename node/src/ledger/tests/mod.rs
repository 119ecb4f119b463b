//! The ledger's promises, one file each.

mod audits;
mod checkpoints;
mod determinism;
mod digests;
mod entries;
mod history;
mod kinds;
mod known_ids;
mod model;
mod openings;
mod precedence;
mod speed;
mod world;
