//! Scenarios on real processes: the demo and the failover measurement. They never report a result
//! that wasn't observed.

pub mod demo;
pub mod failover;
