//! The evenkeel node: a replicated wallet ledger, one process per site.
//!
//! A request takes one road: door ([`gateway`]) → [`admission`] → [`road`] → [`replication`] → the ledger in [`state`] →
//! reply. What a node is made of and in which order it starts and stops is in [`node`]; docs/ARCHITECTURE.md draws it.

// A node, and what it's told.
pub mod clock;
pub mod config;
pub mod limits;
pub mod node;

// The road.
pub mod admission;
pub mod gateway;
pub mod replication;
pub mod road;

// What follows from the journal.
pub mod history;
pub mod keeper;
pub mod replay;
pub mod state;

// What is seen from outside.
pub mod metrics;
pub mod operator;
pub mod telemetry;
