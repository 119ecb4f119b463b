//! The bytes of an index file, as drawn in docs/STORAGE.md.
//!
//! - `header`: counts and ranges of seconds.
//! - `layout`: the offset of each section, computed from the counts.
//! - `block`: the unit that is read and checked.
//! - `section`: rows in blocks, and a search tree above sorted ones.
//! - `filter`: a blocked bloom filter.
//! - `seconds`: ranges of seconds.

pub(crate) mod block;
pub(crate) mod filter;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod seconds;
pub(crate) mod section;
