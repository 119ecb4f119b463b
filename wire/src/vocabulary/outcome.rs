//! Outcomes: the ledger's answers. A rejection is an answer like any other: replicated, numbered,
//! replayed.

use bincode::{Decode, Encode};

use crate::codec::byte_enum;

/// Why a command changed nothing. The numbers are the order of precedence: if several rules are
/// broken, the lowest number is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The id is known with other content. Never recorded under the id.
    IdReused,
    /// The id is further ahead of the entry's time than the tolerance. Never recorded under the id.
    IdInFuture,
    /// The id is unknown and older than the horizon. Never recorded under the id.
    IdExpired,
    /// The amount isn't between 1 and 2^53−1.
    AmountInvalid,
    /// Debit and credit are the same account.
    SameAccount,
    /// There is no account with this id.
    AccountNotFound,
    /// The account exists with other content.
    AccountExists,
    /// There is no hold with this id.
    HoldNotFound,
    /// There is no payment with this id.
    PaymentNotFound,
    /// There is no transfer with this id.
    TransferNotFound,
    /// This kind of transfer isn't allowed between these kinds of accounts.
    KindNotAllowed,
    /// Only a top-up, cash-out, fee or grant can be reversed.
    ReversalNotAllowed,
    /// The asset isn't that of both accounts, or the ledger doesn't have it.
    AssetMismatch,
    /// An account of the command is closed.
    AccountClosed,
    /// The debit account is frozen.
    AccountFrozen,
    /// The hold was captured or voided, or has expired.
    HoldNotOpen,
    /// The movement was already reversed.
    AlreadyReversed,
    /// The account can't be closed: something is posted, held, or held for it.
    AccountNotEmpty,
    /// The amount exceeds the hold.
    CaptureExceedsHold,
    /// The amount exceeds the rest of the payment, or nothing is left.
    RefundExceedsPayment,
    /// The amount exceeds the debit account's limit per transfer.
    PerTransferLimitExceeded,
    /// The amount exceeds the debit account's daily limit.
    DailyLimitExceeded,
    /// The amount exceeds the debit account's available balance.
    InsufficientFunds,
    /// The credit account's balance would exceed its limit.
    MaxBalanceExceeded,
    /// A balance would exceed ±(2^53−1).
    Overflow,
    /// Another command of its atomic batch was rejected. Never recorded under the id.
    BatchFailed,
    /// The day to close isn't the business date. Only nodes get it.
    DayNotOpen,
    /// There is no key with this number. Only the admin socket gets it.
    KeyNotFound,
    /// A merchant's key doesn't name a merchant's account, or another key names an account. Only
    /// the admin socket gets it.
    KeyAccountInvalid,
    /// The ledger has the largest number of keys. Only the admin socket gets it.
    TooManyKeys,
}
byte_enum!(Rejection {
    IdReused = 1 "id_reused",
    IdInFuture = 2 "id_in_future",
    IdExpired = 3 "id_expired",
    AmountInvalid = 4 "amount_invalid",
    SameAccount = 5 "same_account",
    AccountNotFound = 6 "account_not_found",
    AccountExists = 7 "account_exists",
    HoldNotFound = 8 "hold_not_found",
    PaymentNotFound = 9 "payment_not_found",
    TransferNotFound = 10 "transfer_not_found",
    KindNotAllowed = 11 "kind_not_allowed",
    ReversalNotAllowed = 12 "reversal_not_allowed",
    AssetMismatch = 13 "asset_mismatch",
    AccountClosed = 14 "account_closed",
    AccountFrozen = 15 "account_frozen",
    HoldNotOpen = 16 "hold_not_open",
    AlreadyReversed = 17 "already_reversed",
    AccountNotEmpty = 18 "account_not_empty",
    CaptureExceedsHold = 19 "capture_exceeds_hold",
    RefundExceedsPayment = 20 "refund_exceeds_payment",
    PerTransferLimitExceeded = 21 "per_transfer_limit_exceeded",
    DailyLimitExceeded = 22 "daily_limit_exceeded",
    InsufficientFunds = 23 "insufficient_funds",
    MaxBalanceExceeded = 24 "max_balance_exceeded",
    Overflow = 25 "overflow",
    BatchFailed = 26 "batch_failed",
    DayNotOpen = 27 "day_not_open",
    KeyNotFound = 28 "key_not_found",
    KeyAccountInvalid = 29 "key_account_invalid",
    TooManyKeys = 30 "too_many_keys",
});

impl Rejection {
    /// Whether the rejection is recorded as the id's first answer. The three that judge the id
    /// itself aren't, nor is anything in a failed atomic batch.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        !matches!(self, Self::IdReused | Self::IdInFuture | Self::IdExpired | Self::BatchFailed)
    }
}

/// The entry in which an outcome was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stamp {
    /// The entry's position in the journal.
    pub position: u64,
    /// The term of the primary that made the entry.
    pub term: u64,
    /// The entry's time, microseconds since the Unix epoch.
    pub recorded_at: u64,
    /// The entry's link: a blake3 hash over everything up to and including it.
    pub link: [u8; 32],
}

/// The ledger's answer to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Outcome {
    /// Its number among the new outcomes of its entry; [`Self::NO_INDEX`] if it has none.
    pub index: u16,
    /// The reason of a rejection; `None` if committed.
    pub rejection: Option<Rejection>,
    /// The amount that was moved, held or released, in the asset's minor unit; 0 if there is none.
    pub amount: u64,
    /// The debit account's posted balance afterwards, in minor units; 0 if nothing moved.
    pub debit_after: i64,
    /// The credit account's posted balance afterwards, in minor units; 0 if nothing moved.
    pub credit_after: i64,
}

impl Outcome {
    /// The index of results that don't count as outcomes: every command of a failed atomic batch,
    /// and a release that came too late or too early. They appear in no event.
    pub const NO_INDEX: u16 = u16::MAX;
}

/// An outcome as returned to a client: a new one, or a replay of the first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// The ledger's answer.
    pub outcome: Outcome,
    /// For a replay, where the first answer was decided; `None` if it was decided in the entry that
    /// the reply names.
    pub first: Option<Stamp>,
}
