//! What must hold in a run: the promises, one file each. The oracle judges the money.

#[cfg(evenkeel_simulation)]
pub(crate) mod clock_expectations;
#[cfg(evenkeel_simulation)]
pub(crate) mod expectations;
#[cfg(evenkeel_simulation)]
pub mod invariants;
#[cfg(evenkeel_simulation)]
pub mod trace;
#[cfg(evenkeel_simulation)]
pub mod watch;
