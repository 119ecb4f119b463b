//! The kind of a journal record: the number in its header, as in docs/STORAGE.md. A number never
//! gets another meaning.

/// Empty: a new primary's first record.
pub const BLANK: u8 = 0;
/// Commands.
pub const COMMANDS: u8 = 1;
/// The members of the cluster.
pub const MEMBERSHIP: u8 = 2;
