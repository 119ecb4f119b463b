//! The bytes of the journal on disk, as drawn in docs/STORAGE.md. These modules only encode, decode
//! and check; `writing` and `recovery` decide about order and repair.
//!
//! - `record`: the header and envelope of a record.
//! - `chain`: the link of a record, a hash over all before it.
//! - `mark`: the durable and committed positions, written between records.
//! - `segment`: names and headers of segment files.
//! - `footer`: the table of offsets at the end of a sealed segment.

pub(crate) mod chain;
pub(crate) mod footer;
pub(crate) mod mark;
pub(crate) mod record;
pub(crate) mod segment;
