//! Three evenkeel sites on one machine.
//!
//! Read in this order: what a site is and how its process is handled, the network between the sites, the verbs.
//! Needed by nothing in production.

// A site, its files and its process.
pub mod admin;
pub mod files;
pub mod http;
pub mod nodes;
pub mod ports;
pub mod process;
pub mod site;
pub mod testnet;

// The network between the sites.
pub mod relay;

// Load, and whether all of it is there.
pub mod audit;
pub mod load;
pub mod mixed;

// The verbs.
pub mod accept;
pub mod demo;
pub mod failover;
pub mod say;
pub mod simulate;
pub mod table;
pub mod up;

// The same three sites as one seeded program.
pub mod simulation;
