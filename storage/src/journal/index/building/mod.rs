//! Builds an index file from front to back.
//!
//! - `builder`: collects the rows of a segment and writes the file.
//! - `output`: writes blocks, paced by the caller.
//! - `runs`: sorts keys in short steps.

pub(crate) mod builder;
pub(crate) mod output;
pub(crate) mod runs;
