//! What goes wrong in a run, and when.

#[cfg(evenkeel_simulation)]
pub mod fault;
#[cfg(evenkeel_simulation)]
pub mod plan;
