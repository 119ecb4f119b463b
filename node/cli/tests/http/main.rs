//! The HTTP door, from the first byte to the last, over a real ledger: requests and responses as
//! tables.

mod answers;
mod batches;
mod bodies;
mod client;
mod commands;
mod document;
mod events;
mod heads;
mod money;
mod program;
mod site;
#[path = "../support/mod.rs"]
mod support;
