//! From what waits to entries: the queue, the batcher, the time of an entry, and what the ledger needs done when its time comes.
//!
//! It never delays a command while the road is free; the ledger judges upkeep again.

pub mod batcher;
pub mod queue;
pub mod stamps;
pub mod upkeep;
