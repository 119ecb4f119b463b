//! Three evenkeel sites on one machine: to run, to break and to check.
//!
//! | module | holds |
//! |---|---|
//! | `cluster/` | sites as real processes: files, ports, processes, admin calls, HTTP |
//! | `relay/` | the network between the sites: delay, loss, cuts |
//! | `load/` `audit/` | clients that keep their acknowledgements; the check that none is lost |
//! | `mixed/` | commands of every kind; an independent model of the money |
//! | `scenarios/` | the demo and the failover measurement |
//! | `accept/` | the acceptance rows, on real processes |
//! | `simulation/` | the same three sites as one seeded program |
//! | `output` | data on stdout, progress on stderr |
//!
//! Production code never depends on this crate.

pub mod cluster;
pub mod output;
pub mod relay;

// Load, and the check that nothing acknowledged is lost.
pub mod audit;
pub mod load;
pub mod mixed;

// Scenarios on real processes.
pub mod accept;
pub mod scenarios;

// The same three sites as one seeded program.
pub mod simulation;
