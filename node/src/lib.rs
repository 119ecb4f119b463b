//! The evenkeel node: a replicated wallet ledger, one process per site.
//!
//! A request takes one road: door ([`gateway`]) → [`admission`] → [`road`] → [`replication`] → the
//! ledger in [`state`] → reply. [`node`] lists the parts of a node and the order of start and stop;
//! docs/ARCHITECTURE.md draws them.

// The node and its configuration.
pub mod clock;
pub mod config;
pub mod limits;
pub mod node;

// The road.
pub mod admission;
pub mod gateway;
pub mod replication;
pub mod road;

// Derived from the journal.
pub mod history;
pub mod keeper;
pub mod replay;
pub mod state;

// Visible from outside.
pub mod metrics;
pub mod operator;
pub mod telemetry;
