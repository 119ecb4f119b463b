//! Reading while the writer writes; the newest records come from memory.
//!
//! It never returns a record whose checksum or link was not checked, except header fields by `tip_at`.

pub(crate) mod part;
pub(crate) mod reader;
pub(crate) mod tail;
