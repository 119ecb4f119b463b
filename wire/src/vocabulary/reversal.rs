//! Reversals: how a money error is put right without editing history.

use bincode::{Decode, Encode};

use crate::{id::CommandId, limits::MEMO_BYTES_MAX, transfer::Text};

/// Undoes a wrong top-up, cash-out, fee or grant, once, as a new movement of the whole amount the other way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reversal {
    /// The idempotency key, and the id of the movement.
    pub id: CommandId,
    /// Which movement.
    pub transfer: CommandId,
    /// Why; at most 140 bytes, never empty.
    pub reason: Text<MEMO_BYTES_MAX>,
}
