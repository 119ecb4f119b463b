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
pub const KEYS_REQUESTED_MAX: usize = 64;
/// Keys that nobody knows and that a site remembers.
pub const UNKNOWN_KEYS_MAX: usize = 64;
/// How long it remembers them.
pub const UNKNOWN_KEYS_REMEMBERED: Duration = Duration::from_secs(1);
/// Heartbeats after which a site that has heard none asks the primary about a key before it answers by itself.
pub const KEYS_TRUSTED_HEARTBEATS: u32 = 3;

/// Client connections at a time.
pub const CLIENT_CONNECTIONS_MAX: usize = 4_096;
/// How long a connection may stay without saying who it is.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// Pages of histories that may be under way or wait for a thread.
pub const PAGES_WAITING_MAX: usize = 1_024;
/// Pages that are read at a time.
pub const PAGE_THREADS_MAX: usize = 4;
/// Threads of a runtime for what takes its time: pages, events, settlements, answers to batches, names, walks through the journal.
pub const BLOCKING_THREADS_MAX: usize = 16;

/// Digests that a node remembers.
pub const DIGESTS_KEPT: usize = 16;
/// A digest is taken at positions divisible by this.
pub const DIGEST_EVERY: u64 = 1_024;

/// A step of the clock above this needs a majority's agreement.
pub const TIME_STEP_MAX: Duration = Duration::from_secs(60);
/// How close clocks have to be to agree.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Rows of a checkpoint that are copied, or accounts that are audited, while apply waits.
pub const CHECKPOINT_SLICE_ROWS: usize = 4_096;
/// Rows of a checkpoint that are written in a second at the most.
pub const CHECKPOINT_ROWS_PER_SECOND: u64 = 40_000;

/// Bytes of sealed segments, newest first, that a start walks before the node may vote. The keeper walks the rest at leisure.
pub const START_SCRUB_BYTES: u64 = 1 << 30;

/// HTTP connections at a time; whoever comes then is told so.
pub const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// The largest body of an HTTP request.
pub const HTTP_BODY_BYTES_MAX: usize = 4 << 20;
/// What all bodies that are taken in may have together.
pub const HTTP_BODIES_BYTES_MAX: usize = 256 << 20;
/// The largest head of an HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 << 10;
/// What a connection reads or writes at once.
pub const HTTP_BUFFER_BYTES_MAX: usize = 128 << 10;
/// The most headers of an HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// For a TLS handshake.
pub const HTTP_HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// For a request's head, from its first byte.
pub const HTTP_HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// For a request's body.
pub const HTTP_BODY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take no byte of its answer.
pub const HTTP_WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may stay without a request. Longer than load balancers keep theirs, or they'd meet closed ones.
pub const HTTP_IDLE_PATIENCE: Duration = Duration::from_secs(75);
/// How long a silent client isn't asked whether it's still there, how often it's asked then, and how often in vain.
pub const HTTP_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
pub const HTTP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
pub const HTTP_KEEPALIVE_PROBES: u32 = 4;
/// How long a refused client may go on sending before it's cut off.
pub const HTTP_LINGER: Duration = Duration::from_secs(2);
/// How long a node that stops still tells whoever asks.
pub const HTTP_DRAIN_PAUSE: Duration = Duration::from_millis(300);
/// How long connections may take to end when the node stops.
pub const HTTP_STOP_PATIENCE: Duration = Duration::from_millis(500);
/// Commands of a batch that are read or told before other requests have their turn.
pub const ITEMS_AT_A_TIME: usize = 128;
/// Keys that a rate is kept of.
pub const RATES_MAX: usize = KEYS_MAX;

/// Readers of events at a time.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Readers of events that look into the journal at the same time; the others wait for their turn.
pub const EVENT_READS_MAX: usize = 4;
/// Events that are read and written at once.
pub const EVENTS_AT_A_TIME: usize = 512;
/// How long events gather before they're written.
pub const EVENTS_PAUSE: Duration = Duration::from_millis(10);
/// How often a stream of server-sent events shows that it lives.
pub const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a settlement waits for its turn.
pub const SETTLEMENT_PATIENCE: Duration = Duration::from_secs(1);

const _: () = assert!(HTTP_BODY_BYTES_MAX >= ENTRY_BYTES_MAX, "a full batch must fit in a body");
