//! The faults of a run and their times. They never change what a run must satisfy: that is in
//! `checks/`.

#[cfg(evenkeel_simulation)]
pub mod clock_fault;
#[cfg(evenkeel_simulation)]
pub mod fault;
#[cfg(evenkeel_simulation)]
pub mod plan;
