//! All bounds of the protocol, with their relations checked at compile time. Unless the name says
//! otherwise the unit is bytes.

/// The largest frame on any stream, its header included.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// The largest body of a journal entry.
pub const ENTRY_BYTES_MAX: usize = 3 << 20;
/// The most commands in one request and in one entry.
pub const COMMANDS_MAX: usize = 8_192;
/// The longest memo of a transfer, in bytes of UTF-8.
pub const MEMO_BYTES_MAX: usize = 140;
/// The longest reference of a transfer, in bytes of UTF-8.
pub const REFERENCE_BYTES_MAX: usize = 64;
/// The longest label of an account, in bytes of UTF-8.
pub const LABEL_BYTES_MAX: usize = 64;
/// The most assets that a genesis can name.
pub const ASSETS_MAX: usize = 64;
/// The longest name of a site, a cluster or a time zone.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest explanation inside an error reply.
pub const DETAIL_BYTES_MAX: usize = 255;
/// The largest amount, and the largest absolute value of a balance, in minor units: the largest
/// integer that a double holds exactly (RFC 7493 §2.2).
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;
/// The most transfers on one page of a history.
pub const HISTORY_PAGE_MAX: u32 = 1_000;
/// The longest lifetime of a hold, milliseconds: 31 days.
pub const HOLD_MS_MAX: u64 = 31 * 24 * 3_600 * 1_000;
/// The most expired holds that one entry releases.
pub const EXPIRIES_MAX: usize = 4_096;
/// The most keys in a ledger, revoked ones included.
pub const KEYS_MAX: usize = 65_536;
/// The most requests of one client connection that may wait for their reply.
pub const REQUESTS_OUTSTANDING_MAX: usize = 4_096;
/// The shortest deadline of a request, milliseconds.
pub const DEADLINE_MS_MIN: u32 = 100;
/// The longest deadline of a request, milliseconds.
pub const DEADLINE_MS_MAX: u32 = 60_000;
/// The deadline of a request that names none, milliseconds.
pub const DEADLINE_MS_DEFAULT: u32 = 5_000;
/// The largest encoded command.
pub const COMMAND_BYTES_MAX: usize = 352;
/// The head of an entry.
pub const ENTRY_HEAD_BYTES: usize = 8;
/// The head of each group of an entry.
pub const GROUP_HEAD_BYTES: usize = 12;

const _: () = assert!(ENTRY_BYTES_MAX < FRAME_BYTES_MAX, "an entry must fit in one frame");
const _: () = assert!(
    ENTRY_HEAD_BYTES + COMMANDS_MAX * (GROUP_HEAD_BYTES + COMMAND_BYTES_MAX) <= ENTRY_BYTES_MAX,
    "a full batch of the largest commands must fit in one entry, even with a group for each"
);
