//! The row of one command: what the builder is given, and what a lookup returns.
//!
//! A command on disk is 40 bytes, little-endian:
//! ```text
//!  0 u8 code   1 u8 flags   2 u16 index   4 u64 amount   12 i64 debit after   20 i64 credit after
//! 28 u32 where it begins in its record's payload   32 u32 bytes   36 u32 checksum of the part
//! ```

use super::{Part, Position};
use crate::bytes_at::{read_u16, read_u32, read_u64};

/// One command, as the node supplies it. The index never decodes a command itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRow {
    /// The command's UUIDv7, or 0 if it can't be looked up by an id.
    pub id: u128,
    /// Another id for lookups, or 0 for none; never a command's own id. Its timestamp isn't
    /// the time at which the command was made, so it has a lookup of its own
    /// ([`Indexes::find_alias`](super::Indexes::find_alias)).
    pub alias_id: u128,
    /// The account debited. Any number is a valid account, 0 too.
    pub debit: Option<u128>,
    /// The account credited. If it equals `debit`, it is listed once.
    pub credit: Option<u128>,
    /// The command's outcome.
    pub outcome: OutcomeRow,
    /// The command's location in its record.
    pub part: Part,
}

/// The outcome of one command. Code and flags are defined by the node; the index only stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The outcome's code.
    pub code: u8,
    /// The node's flags.
    pub flags: u8,
    /// The outcome's number among the new outcomes of its record.
    pub index: u16,
    /// The command's amount, in minor units.
    pub amount: u64,
    /// The debited account's posted balance afterwards, in minor units.
    pub debit_after: i64,
    /// The credited account's posted balance afterwards, in minor units.
    pub credit_after: i64,
}

/// A located command: its location in the journal, and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocatedCommand {
    /// The position of its record.
    pub position: Position,
    /// Its number among the commands of that record, from 0.
    pub command: u16,
    /// Its outcome.
    pub outcome: OutcomeRow,
    /// Its location in that record.
    pub part: Part,
}

/// Bytes of one command on disk.
pub(crate) const COMMAND_BYTES: usize = 40;

/// Encodes a command's row.
pub(crate) fn command_to_bytes(outcome: &OutcomeRow, part: &Part) -> [u8; COMMAND_BYTES] {
    let mut bytes = [0; COMMAND_BYTES];
    bytes[0] = outcome.code;
    bytes[1] = outcome.flags;
    bytes[2..4].copy_from_slice(&outcome.index.to_le_bytes());
    bytes[4..12].copy_from_slice(&outcome.amount.to_le_bytes());
    bytes[12..20].copy_from_slice(&outcome.debit_after.to_le_bytes());
    bytes[20..28].copy_from_slice(&outcome.credit_after.to_le_bytes());
    bytes[28..32].copy_from_slice(&part.offset.to_le_bytes());
    bytes[32..36].copy_from_slice(&part.bytes.to_le_bytes());
    bytes[36..40].copy_from_slice(&part.checksum.to_le_bytes());
    bytes
}

/// Decodes a command's location from its `COMMAND_BYTES`.
pub(crate) fn part_from_bytes(bytes: &[u8]) -> Part {
    Part { offset: read_u32(bytes, 28), bytes: read_u32(bytes, 32), checksum: read_u32(bytes, 36) }
}

impl OutcomeRow {
    /// Decodes an outcome from the `COMMAND_BYTES` of its command.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            code: bytes[0],
            flags: bytes[1],
            index: read_u16(bytes, 2),
            amount: read_u64(bytes, 4),
            debit_after: read_u64(bytes, 12).cast_signed(),
            credit_after: read_u64(bytes, 20).cast_signed(),
        }
    }
}

/// The Unix second in an id: a UUIDv7 begins with 48 bits of milliseconds (RFC 9562 §5.7).
pub fn id_second(id: u128) -> u64 {
    u64::try_from(id >> 80).expect("48 bits fit") / 1000
}
