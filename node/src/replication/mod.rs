//! Replication: the journal's order is agreed with the peers before anything is applied. The only folder that names the engine.
//!
//! ```text
//! road ─▶ batcher ─▶ engine ─▶ log_store ─▶ journal        network ─▶ peers      serve ◀─ peers
//!                       └────▶ state_machine ─▶ ledger ─▶ replies
//! ```
//! It never decides about money, and never changes a vote or the log but through the engine.

pub mod aside;
pub mod batcher;
pub mod digests;
pub mod engine;
pub mod forwarder;
pub mod freshness;
pub mod gate;
pub mod joining;
pub mod lead;
pub mod log_store;
pub mod network;
pub mod peers;
pub mod quic;
pub mod quorum;
pub mod reads;
#[cfg(evenkeel_simulation)]
pub mod seeded;
pub mod serve;
pub mod stamps;
pub mod state_machine;
pub mod transport;
pub mod types;
pub mod upkeep;
pub mod votes;
pub mod watchdog;
pub mod welcome;

/// The engine, with our types.
pub type Raft = openraft::Raft<types::Types, state_machine::StateMachine>;
