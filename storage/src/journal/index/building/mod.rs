//! Building an index file from front to back.

pub(crate) mod builder;
pub(crate) mod output;
pub(crate) mod runs;
