//! Holds: money reserved for a merchant, then captured once or released.

use bincode::{Decode, Encode};

use crate::{
    amount::{Amount, Asset},
    codec::byte_enum,
    id::{AccountId, CommandId},
    limits::MEMO_BYTES_MAX,
    transfer::Text,
};

/// Reserves an amount of a wallet for a merchant: it stays posted but is no longer available.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hold {
    /// The idempotency key, and the hold's id.
    pub id: CommandId,
    /// The wallet that pays.
    pub debit: AccountId,
    /// The merchant that may capture.
    pub credit: AccountId,
    /// The most that can be captured, in the asset's minor unit.
    pub amount: Amount,
    /// The asset, which must be that of both accounts.
    pub asset: Asset,
    /// The hold's lifetime, milliseconds from the time of the entry that opens it; 1 to
    /// [`crate::limits::HOLD_MS_MAX`].
    pub expires_in_ms: u64,
    /// A text for people, at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}

/// Captures a hold, once; the rest is released. Creates a payment with this command's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Capture {
    /// The idempotency key, and the payment's id.
    pub id: CommandId,
    /// The hold's id.
    pub hold: CommandId,
    /// The amount, at most the amount held; `None` for all of it.
    pub amount: Option<Amount>,
}

/// Releases a hold's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Void {
    /// The idempotency key.
    pub id: CommandId,
    /// The hold's id.
    pub hold: CommandId,
}

/// Releases an expired hold. The primary creates it; clients' doors reject it. It is judged by the
/// entry's time, so that a primary with a wrong list releases nothing; a hold that is already
/// closed, or not yet expired, is ignored without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExpireHold {
    /// The hold's id.
    pub hold: CommandId,
}

/// The status of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldStatus {
    /// It can be captured or voided.
    Open,
    /// All or a part of its money was captured.
    Captured,
    /// It was voided.
    Voided,
    /// It has expired. Also reported for a hold whose release isn't written yet.
    Expired,
}
byte_enum!(HoldStatus {
    Open = 1 "open",
    Captured = 2 "captured",
    Voided = 3 "voided",
    Expired = 4 "expired",
});
