//! What the index is told of one command, and what it answers about one.
//!
//! An outcome on disk is 28 bytes, little-endian:
//! ```text
//!  0 u8 code   1 u8 flags   2 u16 index   4 u64 amount   12 i64 debit after   20 i64 credit after
//! ```

use super::Position;
use crate::bytes_at::{read_u16, read_u64};

/// What the node knows of one command. The index never decodes a command itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandRow {
    /// The command's UUIDv7, or 0 when it is not to be found under an id.
    pub id: u128,
    /// Another id under which it is to be found, or 0 for none. Never one that a command has as its
    /// own. It says nothing of when it was made, so it is found only from a position on
    /// ([`Indexes::find_from`](super::Indexes::find_from)).
    pub also: u128,
    /// The account debited, or 0 for none.
    pub debit: u128,
    /// The account credited, or 0 for none. Equal to `debit`, it is listed once.
    pub credit: u128,
    /// What came of the command.
    pub outcome: OutcomeRow,
}

/// What came of one command. Code and flags are the node's: the index only keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The outcome's code.
    pub code: u8,
    /// The node's flags.
    pub flags: u8,
    /// The outcome's number among the new outcomes of its record.
    pub index: u16,
    /// What it was about, in minor units.
    pub amount: u64,
    /// The debited account's posted balance afterwards, in minor units.
    pub debit_after: i64,
    /// The credited account's posted balance afterwards, in minor units.
    pub credit_after: i64,
}

/// A command that was found: where it stands in the journal, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The position of its record.
    pub position: Position,
    /// Its number among the commands of that record.
    pub command: u16,
    /// What came of it.
    pub outcome: OutcomeRow,
}

/// Bytes of one outcome on disk.
pub(super) const OUTCOME_BYTES: usize = 28;

impl OutcomeRow {
    pub(super) fn to_bytes(self) -> [u8; OUTCOME_BYTES] {
        let mut bytes = [0; OUTCOME_BYTES];
        bytes[0] = self.code;
        bytes[1] = self.flags;
        bytes[2..4].copy_from_slice(&self.index.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.amount.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.debit_after.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.credit_after.to_le_bytes());
        bytes
    }

    /// `bytes` holds at least `OUTCOME_BYTES`.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
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

/// The second an id says it was made in: a UUIDv7 begins with 48 bits of milliseconds.
pub fn id_second(id: u128) -> u64 {
    u64::try_from(id >> 80).expect("48 bits fit") / 1000
}
