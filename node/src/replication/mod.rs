//! Replication: a majority agrees on the journal's order before anything is applied. The only
//! folder that names the engine.
//!
//! ```text
//! road ─▶ batcher ─▶ engine ─▶ log_store ─▶ journal      network ─▶ peers      peer_door ◀─ peers
//!                       └────▶ state_machine ─▶ ledger ─▶ replies
//! ```
//! It never decides about money, and only the engine changes votes and the log.

pub mod digests;
pub mod empty_copy;
pub mod engine;
pub mod forwarder;
pub mod journal_reads;
pub mod leadership;
pub mod memory;
pub mod peer_door;
pub mod peers;
pub mod primary_exit;
pub mod progress;
pub mod proposing;
pub mod reads;

/// The engine, with our types.
pub type Raft = openraft::Raft<engine::types::EngineTypes, engine::state_machine::StateMachine>;
