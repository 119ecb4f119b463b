//! The node's bounds, all in one file; the protocol's are in `evenkeel_wire::limits`. Nothing else
//! in the node defines a bound of a queue, buffer or wait that clients or peers can fill.

use std::time::Duration;

pub use evenkeel_wire::limits::*;

/// Largest number of entry bytes in one message to a peer; one entry is sent whatever its size.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Unanswered append messages to one peer.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;
/// Bytes that one read of the journal brings into memory.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Commit positions of the primary that a follower remembers while it catches up.
pub const FRESHNESS_NOTES_MAX: usize = 1_024;

/// Commands that may wait for an entry.
pub const QUEUED_COMMANDS_MAX: usize = 256 * 1_024;
/// Bytes of commands that may wait for an entry.
pub const QUEUED_BYTES_MAX: usize = 64 << 20;
/// Requests that may wait for an entry.
pub const QUEUED_REQUESTS_MAX: usize = 64 * 1_024;
/// Entries of the primary that may be in flight; the next entry fills while they become durable.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 4;
/// An entry is closed at this many bytes, even if more would fit.
pub const ENTRY_BYTES_TARGET: usize = 1 << 20;

/// Requests of a follower that may be in flight to the primary.
pub const FORWARDS_MAX: usize = 64 * 1_024;
/// How long a door waits for a primary before it answers `no_primary`.
pub const PRIMARY_PATIENCE: Duration = Duration::from_secs(1);

/// How long a door waits for the primary's answer about a key that its own site doesn't know.
pub const KEY_PATIENCE: Duration = Duration::from_secs(1);
/// Unknown keys that a site may be querying at the primary at a time.
pub const KEYS_REQUESTED_MAX: usize = 64;
/// Keys unknown to the primary too that a site remembers.
pub const UNKNOWN_KEYS_MAX: usize = 64;
/// How long a site remembers an unknown key.
pub const UNKNOWN_KEYS_REMEMBERED: Duration = Duration::from_secs(1);
/// After this many missed heartbeats a site asks the primary about a key before it answers by
/// itself.
pub const KEYS_TRUSTED_HEARTBEATS: u32 = 3;

/// Client connections at a time.
pub const CLIENT_CONNECTIONS_MAX: usize = 4_096;
/// How long a new connection may take to send its hello.
pub const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// History pages that may be in progress or waiting for a thread.
pub const PAGES_WAITING_MAX: usize = 1_024;
/// History pages that are read at a time.
pub const PAGE_THREADS_MAX: usize = 4;
/// Blocking threads of a runtime. They serve slow reads: history pages, events, settlements, batch
/// answers, name resolution and walks through the journal.
pub const BLOCKING_THREADS_MAX: usize = 16;

/// Digests that a node keeps.
pub const DIGESTS_KEPT: usize = 16;
/// A digest is taken at every position divisible by this.
pub const DIGEST_EVERY: u64 = 1_024;

/// A clock step larger than this needs a majority's agreement.
pub const TIME_STEP_MAX: Duration = Duration::from_secs(60);
/// Clocks that differ by at most this much agree.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Rows of a checkpoint copied, or accounts audited, in one turn while apply waits.
pub const CHECKPOINT_SLICE_ROWS: usize = 4_096;
/// Rows of a checkpoint written per second at most.
pub const CHECKPOINT_ROWS_PER_SECOND: u64 = 40_000;

/// Bytes of sealed segments, newest first, that a start verifies before the node may vote. The
/// keeper verifies the rest in the background.
pub const START_SCRUB_BYTES: u64 = 1 << 30;

/// HTTP connections at a time; one more is answered `overloaded` and closed.
pub const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// Largest body of an HTTP request.
pub const HTTP_BODY_BYTES_MAX: usize = 4 << 20;
/// Memory for all request bodies together.
pub const HTTP_BODIES_BYTES_MAX: usize = 256 << 20;
/// Largest head of an HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 32 << 10;
/// Read and write buffer of a connection.
pub const HTTP_BUFFER_BYTES_MAX: usize = 128 << 10;
/// Headers of an HTTP request at most.
pub const HTTP_HEADERS_MAX: usize = 64;
/// How long a TLS handshake may take.
pub const HTTP_HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How long a request's head may take, from its first byte.
pub const HTTP_HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a request's body may take.
pub const HTTP_BODY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may stop reading its answer.
pub const HTTP_WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection may stay idle. Longer than load balancers keep idle connections, so that
/// they don't reuse closed ones.
pub const HTTP_IDLE_PATIENCE: Duration = Duration::from_secs(75);
/// TCP keepalive: idle time before the first probe.
pub const HTTP_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// TCP keepalive: interval between probes.
pub const HTTP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// TCP keepalive: unanswered probes before the connection is closed.
pub const HTTP_KEEPALIVE_PROBES: u32 = 4;
/// How long a refused client may keep sending before its connection is closed.
pub const HTTP_LINGER: Duration = Duration::from_secs(2);
/// How long a stopping node still answers new requests, with `stopping`.
pub const HTTP_DRAIN_PAUSE: Duration = Duration::from_millis(300);
/// How long connections may take to end when the node stops.
pub const HTTP_STOP_PATIENCE: Duration = Duration::from_millis(500);
/// Commands of a batch that are read or described before other requests get a turn.
pub const ITEMS_AT_A_TIME: usize = 128;
/// Keys with a request rate of their own.
pub const RATES_MAX: usize = KEYS_MAX;

/// Event streams at a time.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Event streams that read the journal at the same time; the others wait for their turn.
pub const EVENT_READS_MAX: usize = 4;
/// Events that are read and written at once.
pub const EVENTS_AT_A_TIME: usize = 512;
/// How long events are collected before they're written.
pub const EVENTS_PAUSE: Duration = Duration::from_millis(10);
/// Interval of the heartbeat in a stream of server-sent events.
pub const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a settlement waits for its turn.
pub const SETTLEMENT_PATIENCE: Duration = Duration::from_secs(1);

const _: () = assert!(HTTP_BODY_BYTES_MAX >= ENTRY_BYTES_MAX, "a full batch must fit in a body");

/// Connections of one member that are watched for a second process of it.
pub const LINKS_KEPT_MAX: usize = 16;
/// New processes of members that aren't judged yet.
pub const NEWCOMERS_KEPT_MAX: usize = 64;
/// Incidents that a node keeps for the others, and takes from one message.
pub const INCIDENTS_KEPT_MAX: usize = 16;
/// How long a lane's first frames may take.
pub const INTRODUCTION_PATIENCE: Duration = Duration::from_secs(5);
/// At most this often a node tells the others what it remembers.
pub const MEMORY_NOTICE_EVERY: Duration = Duration::from_millis(200);
/// At least this often it does, and at most this often it writes it down.
pub const MEMORY_WRITTEN_EVERY: Duration = Duration::from_secs(1);
