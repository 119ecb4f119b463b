//! Requests about a running node: public status and health, and its operator's acts. They never
//! move money.

pub mod acts;
pub(crate) mod clock_alarms;
pub mod health;
pub(crate) mod introductions;
pub mod node_operations;
pub(crate) mod observed;
pub mod operations;
pub(crate) mod peer_watch;
pub mod status;
