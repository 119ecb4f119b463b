//! Which node leads, and how the primary role passes on.
//!
//! It never elects: the engine does.

pub mod handover;
pub mod lead;
pub mod trigger;
pub mod watchdog;
