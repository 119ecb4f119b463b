//! Writing: one writer, one queue, group commit.
//!
//! It never retries a failed write or sync, never purges, and never truncates below the committed position or into a
//! sealed segment.

pub(crate) mod active;
pub(crate) mod poison;
pub(crate) mod reserve;
pub(crate) mod rewrite;
pub(crate) mod seal;
pub(crate) mod sync_watch;
pub(crate) mod truncation;
pub(crate) mod writer;
