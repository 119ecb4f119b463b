//! The state as rows: written in slices, loaded at a start, audited, and hashed into the digest.

pub(crate) mod audit;
pub(crate) mod digest;
pub(crate) mod load;
mod load_checks;
pub(crate) mod rows;
mod small_tables;
pub(crate) mod write;
