//! Copies that began empty: what they are, whose votes count, and which primary may fill them.
//!
//! A copy that may have forgotten a promise never counts.

pub mod admittance;
pub mod status;
pub mod votes;
