//! The node's bounds, all in one file; the protocol's are in `evenkeel_wire::limits`. Nothing else
//! in the node defines a bound of a queue, buffer or wait that clients or peers can fill.

use std::time::Duration;

pub use evenkeel_wire::limits::*;

/// Largest number of entry bytes in one message to a peer; one entry is sent whatever its size.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Unanswered append messages to one peer.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;
/// Bytes of unanswered append messages to one peer; one is sent whatever its size. What a slow line
/// holds of them waits in front of it.
pub const APPEND_BYTES_IN_FLIGHT_MAX: usize = 16 << 20;
/// The slowest line between sites that is waited for, in bytes a second: the time for an answer
/// grows by that of the message.
pub const LINE_RATE_MIN: u64 = 256 << 10;
/// The largest term and position in a peer's message: larger ones would leave no room to count on.
pub const LOG_NUMBER_MAX: u64 = 1 << 62;
/// Bytes that one read of the journal brings into memory.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Commit positions of the primary that a follower remembers while it catches up.
pub const FRESHNESS_NOTES_MAX: usize = 1_024;

/// Commands that may wait for an entry, or at a follower for the primary. A key alone may fill
/// three quarters of this and of the next two bounds. With transfers of 200 bytes the next bound is
/// reached first.
pub const QUEUED_COMMANDS_MAX: usize = 512 * 1_024;
/// Bytes of commands that may wait for an entry, or at a follower for the primary.
pub const QUEUED_BYTES_MAX: usize = 96 << 20;
/// Requests that may wait for an entry, or at a follower for the primary.
pub const QUEUED_REQUESTS_MAX: usize = 64 * 1_024;
/// Entries of the primary that may be in flight; the next entry fills while they become durable.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 4;
/// An entry is closed at this many bytes, even if more would fit.
pub const ENTRY_BYTES_TARGET: usize = 1 << 20;

/// Bytes of the journal that aren't sealed, from which on the primary pauses between entries. The
/// ledger's memory and the next start's replay grow with these bytes.
pub const UNSEALED_BYTES_SLOW: u64 = 512 << 20;
/// Bytes of the journal that aren't sealed, from which on the primary takes no commands from its
/// queue, and a follower no records, until the own keeper has sealed a segment.
pub const UNSEALED_BYTES_MAX: u64 = 1 << 30;
/// How long a follower whose keeper is that far behind holds records back before it ends the lane.
pub const FOLLOWER_HELD_MAX: Duration = Duration::from_secs(2);
/// The pause between two entries just below `UNSEALED_BYTES_MAX`; it grows from zero.
pub const UNSEALED_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Requests of a follower that may be in flight to the primary.
pub const FORWARDS_MAX: usize = QUEUED_REQUESTS_MAX;
/// Bytes of requests or replies that one write to a site's lane takes; one request or reply is
/// written whatever its size.
pub const FORWARD_WRITE_BYTES_MAX: usize = 1 << 20;
/// How long one such write may take before the lane counts as broken: until then every request in
/// it has passed its deadline. A slow line is faster than this, and QUIC notices a dead one.
pub const FORWARD_WRITE_PATIENCE: Duration = Duration::from_millis(DEADLINE_MS_MAX as u64);
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

/// Threads that make the lookups of entries and read the log for peers that catch up.
pub const REPLICATION_READERS: usize = 2;
/// Threads that look up ids, targets, transfers and holds for doors.
pub const DOOR_READERS: usize = 2;
/// The priority of those threads: below replication's and the doors', above the keeper's.
pub const DOOR_READERS_NICE: i32 = 5;
/// Requests that may wait for those threads.
pub const LOOKUP_REQUESTS_MAX: usize = 4_096;
/// Bytes of requests that may wait for those threads.
pub const LOOKUP_BYTES_MAX: usize = 64 << 20;
/// One caller may have this part of them: a quarter.
pub const LOOKUP_SHARE_OF_CALLER: usize = 4;
/// Lookups that are made for one request before the next caller has a turn.
pub const LOOKUPS_AT_A_TIME: usize = 256;
/// An entry is closed at this many commands and targets that may lie in sealed segments. One
/// request, which is never divided, may have more.
pub const ENTRY_LOOKUPS_MAX: usize = 1_024;
/// Commands that are applied before other tasks of replication have a turn.
pub const APPLIED_AT_A_TIME: usize = 2_048;

/// Digests that a node keeps.
pub const DIGESTS_KEPT: usize = 16;
/// A digest is taken at every position divisible by this.
pub const DIGEST_EVERY: u64 = 1_024;

/// How far a clock may be from what the monotonic clock says since a majority last agreed, all
/// steps and drift together, before its time needs a majority's agreement.
pub const TIME_STEP_MAX: Duration = Duration::from_secs(60);
/// Clocks that differ by at most this much agree.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// How often a node learns the clock of each peer, at least.
pub const CLOCK_ROUND: Duration = Duration::from_secs(1);
/// How long a peer's clock counts after it was last learned.
pub const CLOCK_KNOWN_FOR: Duration = Duration::from_secs(10);
/// A round trip longer than this doesn't measure a clock: the result may be wrong by half of it.
pub const CLOCK_ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// How long a clock must differ from a majority's before it's reported and its primary hands over.
pub const CLOCK_DIFFERS_AFTER: Duration = Duration::from_secs(5);
/// How long a reported clock must agree with a majority's before it counts as correct.
pub const CLOCK_AGREES_AFTER: Duration = Duration::from_secs(10);
/// A ledger's time that is this far ahead of a majority's clocks is reported. Primaries' clocks may
/// differ by twice the tolerance.
pub const LEDGER_AHEAD_MAX: Duration = Duration::from_secs(5);
/// While the ledger's time is ahead of the clock, it goes on slower by one part in this many, until
/// the clock has caught up.
pub const LEDGER_AHEAD_SLOWER_BY: u64 = 10;
/// How long a primary that has handed over because of its clock doesn't do so again.
pub const CLOCK_HANDOVER_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Rows of a checkpoint copied, or accounts audited, in one turn while apply waits.
pub const CHECKPOINT_SLICE_ROWS: usize = 4_096;
/// Rows of a checkpoint written per second at most.
pub const CHECKPOINT_ROWS_PER_SECOND: u64 = 40_000;

/// Bytes of sealed segments, newest first, that a start verifies before the node may vote. The
/// keeper verifies the rest in the background.
pub const START_SCRUB_BYTES: u64 = 1 << 30;

/// File descriptors that clients over HTTP and index files never get: journal, checkpoint, peers,
/// admin socket, and the files that blocking threads open.
pub const DESCRIPTORS_RESERVED: usize = 128;
/// A node doesn't start with a lower limit of file descriptors.
pub const DESCRIPTORS_MIN: u64 = 192;
/// Index files that are held open; further ones are opened when read. A low limit of file
/// descriptors lowers it.
pub const INDEX_FILES_MAX: usize = 256;

/// HTTP connections at a time; a low limit of file descriptors lowers it. One more is served for
/// one request: a probe or scrape is answered, any other one is `overloaded`.
pub const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// Connections beyond these at a time; a further one ends an older one.
pub const HTTP_PROBES_MAX: usize = 64;
/// Such connections of one address.
pub const HTTP_PROBES_PER_ADDRESS_MAX: usize = 16;
/// How long such a connection may take.
pub const HTTP_PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Largest body of an HTTP request.
pub const HTTP_BODY_BYTES_MAX: usize = 4 << 20;
/// Memory for all request bodies together; one key's may take three quarters.
pub const HTTP_BODIES_BYTES_MAX: usize = 256 << 20;
/// Memory for all large answers together, in the same way.
pub const HTTP_ANSWERS_BYTES_MAX: usize = 256 << 20;
/// Memory that is reserved for an item of a page or a batch before its answer is made.
pub const HTTP_ITEM_BYTES: usize = 640;
/// Memory for all history pages over QUIC that wait for their readers; one key's may take three
/// quarters.
pub const CLIENT_PAGES_BYTES_MAX: usize = 256 << 20;
/// Memory that is reserved for an item of such a page before it's read.
pub const CLIENT_ITEM_BYTES: usize = 512;
/// The lowest rate, in bytes a second, at which a client sends a body or reads an answer.
pub const CLIENT_RATE_MIN: usize = 64 << 10;
/// How far a client may be behind that rate before it's given up.
pub const CLIENT_RATE_GRACE: Duration = Duration::from_secs(10);
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
/// How far a client may be behind the lowest rate before its answer is given up; a client of an
/// event stream, which has no rate, may stop reading for so long.
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
/// A larger body of a batch isn't read on the doors' thread: its JSON takes milliseconds.
pub const BATCH_BYTES_AT_ONCE: usize = 64 << 10;
/// Commands of a batch that are read before other requests get a turn.
pub const ITEMS_AT_A_TIME: usize = 128;
/// Keys with rates of their own.
pub const RATES_MAX: usize = KEYS_MAX;

/// Bytes of log lines that may wait for the reader of stderr; as many again may be on their way.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// How long an ending process waits for the reader of its log.
pub const LOG_FLUSH_PATIENCE: Duration = Duration::from_secs(1);

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

/// How long a client may take for so many bytes.
#[must_use]
pub fn patience_for(bytes: usize) -> Duration {
    let micros = bytes.saturating_mul(1_000_000) / CLIENT_RATE_MIN;
    CLIENT_RATE_GRACE + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

const _: () = assert!(
    QUEUED_BYTES_MAX / QUEUED_COMMANDS_MAX < 200,
    "a burst of transfers fills the bytes first"
);
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
