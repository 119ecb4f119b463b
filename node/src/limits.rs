//! Every bound of the node, in one place; the protocol's are `evenkeel_wire::limits`.

use std::time::Duration;

pub use evenkeel_wire::limits::*;

/// Bytes of entries in one message to a peer; at least one entry goes whatever its size.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Appends to one peer that may be unanswered.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;
/// Bytes that one read of the journal brings into memory.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// What a follower remembers of its primary's commitments while it catches up.
pub const FRESHNESS_NOTES_MAX: usize = 1_024;

/// Commands that may wait for a place in an entry.
pub const QUEUED_COMMANDS_MAX: usize = 256 * 1_024;
/// Bytes that may wait for a place in an entry.
pub const QUEUED_BYTES_MAX: usize = 64 << 20;
/// Requests that may wait for a place in an entry.
pub const QUEUED_REQUESTS_MAX: usize = 64 * 1_024;
/// Entries that the primary keeps under way at a time: while they become durable the next one fills.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 4;
/// Bytes after which an entry is closed although more would fit.
pub const ENTRY_BYTES_TARGET: usize = 1 << 20;

/// Requests that a follower may have at the primary.
pub const FORWARDS_MAX: usize = 64 * 1_024;
/// How long a door waits for a primary before it says that there is none.
pub const PRIMARY_PATIENCE: Duration = Duration::from_secs(1);

/// How long a door waits for the primary's word on a key that its own site doesn't know.
pub const KEY_PATIENCE: Duration = Duration::from_secs(1);
/// Keys that a site asks its primary about at a time.
pub const KEYS_ASKED_MAX: usize = 64;
/// Keys that nobody knows and that a site remembers.
pub const STRANGERS_MAX: usize = 64;
/// How long it remembers them.
pub const STRANGERS_REMEMBERED: Duration = Duration::from_secs(1);
/// Heartbeats after which a site that has heard none asks the primary about a key before it answers by itself.
pub const KEYS_TRUSTED_HEARTBEATS: u32 = 3;

/// Client connections at a time.
pub const CLIENT_CONNECTIONS_MAX: usize = 4_096;
/// How long a connection may stay without saying who it is.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Digests that a node remembers.
pub const DIGESTS_KEPT: usize = 16;
/// A digest is taken at positions divisible by this.
pub const DIGEST_EVERY: u64 = 1_024;

/// A step of the clock above this needs a majority's agreement.
pub const TIME_STEP_MAX: Duration = Duration::from_secs(60);
/// How close clocks have to be to agree.
pub const TIME_AGREEMENT: Duration = Duration::from_secs(2);

/// Rows of a checkpoint that are copied, or accounts that are audited, while apply waits.
pub const CHECKPOINT_SLICE_ROWS: usize = 4_096;
/// Rows of a checkpoint that are written in a second at the most.
pub const CHECKPOINT_ROWS_PER_SECOND: u64 = 40_000;

/// Bytes of sealed segments, newest first, that a start walks before the node may vote. The keeper walks the rest at leisure.
pub const START_SCRUB_BYTES: u64 = 1 << 30;
