//! From waiting requests to entries: repeated commands, the queue, the batcher, entries'
//! timestamps, and the ledger's scheduled upkeep.
//!
//! It never delays a command while the road is free and the keeper isn't far behind
//! (`sealing_pace`), and never decides one: the ledger does, and it judges upkeep again.

pub mod batcher;
pub mod queue;
pub mod repeats;
pub mod sealing_pace;
pub mod stamps;
pub mod upkeep;
