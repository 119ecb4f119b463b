//! What the journal looks like on disk: records, links, marks, segment headers and footers. Drawn in docs/STORAGE.md.

pub(crate) mod chain;
pub(crate) mod footer;
pub(crate) mod mark;
pub(crate) mod record;
pub(crate) mod segment;
