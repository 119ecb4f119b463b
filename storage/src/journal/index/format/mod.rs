//! What an index file looks like on disk. Drawn in docs/STORAGE.md.

pub(crate) mod block;
pub(crate) mod filter;
pub(crate) mod header;
pub(crate) mod layout;
pub(crate) mod seconds;
pub(crate) mod section;
