//! Reading while the writer writes. The newest records come from memory.
//!
//! It never returns a record whose checksum or link wasn't checked, except the header fields
//! returned by `tip_at`.
//!
//! - `tail`: the newest records in memory.
//! - `reader`: whole records and tips, from the tail or from segments.
//! - `part`: single commands of a record.

pub(crate) mod part;
pub(crate) mod reader;
pub(crate) mod tail;
