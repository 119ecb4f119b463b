//! Three evenkeel sites on one machine.
//!
//! Read in this order: what a site is and how its process is handled, the network between the sites, the verbs.
pub mod relay;
