//! What must hold in every run, one promise a file. A failed check names what broke the promise.

pub mod answered;
pub mod chain;
pub mod checkpoint;
pub mod durable;
pub mod money;
pub mod one_primary;
pub mod progress;
pub mod reads;
pub mod time;
pub mod upkeep;

/// What broke a promise.
pub type CheckResult = Result<(), String>;
