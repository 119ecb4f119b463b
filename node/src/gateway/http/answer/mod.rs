//! Outcomes and refusals as JSON. An answer never says that nothing was done unless that's certain.

pub(crate) mod code;
pub(crate) mod describe;
pub(crate) mod problem;
