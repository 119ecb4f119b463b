//! The state as rows: written in slices, loaded at a start, audited, and hashed into the digest.

pub(crate) mod audit;
pub(crate) mod digest;
pub(crate) mod load;
pub(crate) mod rows;
pub(crate) mod write;
