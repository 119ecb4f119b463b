//! Three evenkeel sites on one machine.
//!
//! Read in this order: what a site is and how its process is handled, the network between the sites, load and what it is
//! checked against, the scenarios. Needed by nothing in production.

pub mod cluster;
pub mod output;
pub mod relay;

// Load, and whether all of it is there.
pub mod audit;
pub mod load;
pub mod mixed;

// Scenarios on real processes.
pub mod accept;
pub mod scenarios;

// The same three sites as one seeded program.
pub mod simulation;
