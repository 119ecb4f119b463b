//! Scenarios on real processes. They never claim what they did not see.

pub mod demo;
pub mod failover;
