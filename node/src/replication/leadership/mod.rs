//! Who leads, and how the lead passes on.

pub mod handover;
pub mod lead;
pub mod watchdog;
