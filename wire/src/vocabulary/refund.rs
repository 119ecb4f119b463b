//! Refunds: all or a part of a payment, paid back.

use bincode::{Decode, Encode};

use crate::{amount::Amount, id::CommandId, limits::MEMO_BYTES_MAX, transfer::Text};

/// Pays a payment back, from its merchant to its wallet. The sum of all refunds of a payment never
/// exceeds it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refund {
    /// The idempotency key, and the id of the movement.
    pub id: CommandId,
    /// The payment's id; payments created by a capture count too.
    pub payment: CommandId,
    /// The amount; `None` for the rest of the payment.
    pub amount: Option<Amount>,
    /// A text for people, at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}
