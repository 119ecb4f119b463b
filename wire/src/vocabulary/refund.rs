//! Refunds: a payment's money, or a part of it, on its way back.

use bincode::{Decode, Encode};

use crate::{amount::Amount, id::CommandId, limits::MEMO_BYTES_MAX, transfer::Text};

/// Pays a payment back, from its merchant to its wallet. All refunds of a payment together never exceed it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refund {
    /// The idempotency key, and the id of the movement.
    pub id: CommandId,
    /// Which payment; one that came about by a capture counts.
    pub payment: CommandId,
    /// How much; `None`: what is left.
    pub amount: Option<Amount>,
    /// For people; at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}
