//! What a journal record carries: the number in its header. Drawn in docs/STORAGE.md.

/// Nothing: a new primary's first record.
pub const BLANK: u8 = 0;
/// Commands.
pub const COMMANDS: u8 = 1;
/// The members of the cluster.
pub const MEMBERSHIP: u8 = 2;
