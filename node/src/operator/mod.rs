//! What may be asked of a running node: its status and health by anybody, acts by its operator. Never money.

pub mod acts;
pub mod health;
pub mod node_operations;
pub(crate) mod observed;
pub mod operations;
pub mod status;
