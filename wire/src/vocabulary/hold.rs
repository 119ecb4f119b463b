//! Holds: money set aside for a merchant, taken once or given back.

use bincode::{Decode, Encode};

use crate::{
    amount::{Amount, Asset},
    codec::byte_enum,
    id::{AccountId, CommandId},
    limits::MEMO_BYTES_MAX,
    transfer::Text,
};

/// Sets an amount of a wallet aside for a merchant: it stays posted and is no longer available.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hold {
    /// The idempotency key, and the hold's id.
    pub id: CommandId,
    /// The wallet that pays.
    pub debit: AccountId,
    /// The merchant that may be paid.
    pub credit: AccountId,
    /// The most that can be captured, in the asset's minor unit.
    pub amount: Amount,
    /// Must be the asset of both accounts.
    pub asset: Asset,
    /// How long it stands, milliseconds from the time of the entry that takes it up; 1 to [`crate::limits::HOLD_MS_MAX`].
    pub expires_in_ms: u64,
    /// For people; at most 140 bytes.
    pub memo: Text<MEMO_BYTES_MAX>,
}

/// Takes a hold's money, once: what isn't taken is released. Makes a payment whose id is this command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Capture {
    /// The idempotency key, and the payment's id.
    pub id: CommandId,
    /// Which hold.
    pub hold: CommandId,
    /// At most what is held; `None`: all of it.
    pub amount: Option<Amount>,
}

/// Gives a hold's money back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Void {
    /// The idempotency key.
    pub id: CommandId,
    /// Which hold.
    pub hold: CommandId,
}

/// Releases a hold whose time is up. The primary makes it; no door takes it. Judged by the entry's time, so that a primary
/// with a wrong list releases nothing; a hold that is closed already, or not yet due, is passed over without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExpireHold {
    /// Which hold.
    pub hold: CommandId,
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldStatus {
    /// It can be captured or voided.
    Open,
    /// Its money, or a part of it, was taken.
    Captured,
    /// It was given back.
    Voided,
    /// Its time was up. Also told of a hold whose release isn't written yet.
    Expired,
}
byte_enum!(HoldStatus {
    Open = 1 "open",
    Captured = 2 "captured",
    Voided = 3 "voided",
    Expired = 4 "expired",
});
