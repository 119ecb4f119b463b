//! Reversals: corrections of wrong movements without editing history.

use bincode::{Decode, Encode};

use crate::{id::CommandId, limits::MEMO_BYTES_MAX, transfer::Text};

/// Reverses a wrong top-up, cash-out, fee or grant, once, by a new movement of the whole amount in
/// the opposite direction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reversal {
    /// The idempotency key, and the id of the movement.
    pub id: CommandId,
    /// The id of the movement to reverse.
    pub transfer: CommandId,
    /// The reason, at most 140 bytes, never empty.
    pub reason: Text<MEMO_BYTES_MAX>,
}
