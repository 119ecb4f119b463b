//! Writing: one writer, one queue, group commit.
//!
//! It never retries a failed write or sync, never purges, and never truncates below the committed
//! position or into a sealed segment.
//!
//! - `writer`: takes queued jobs and makes them durable, one sync per batch.
//! - `active`: the segment being written, and its buffer.
//! - `reserve`: the next segment, reserved ahead of need.
//! - `truncation`: removes records that lost an election.
//! - `seal`: closes a full segment with a footer.
//! - `poison`: the final state after a failed write or sync.
//! - `sync_watch`: reports syncs to a caller that has a clock.

pub(crate) mod active;
pub(crate) mod poison;
pub(crate) mod reserve;
pub(crate) mod seal;
pub(crate) mod sync_watch;
pub(crate) mod truncation;
pub(crate) mod writer;
