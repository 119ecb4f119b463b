//! Three evenkeel sites on one machine. Needed by nothing in production.

pub mod simulation;
