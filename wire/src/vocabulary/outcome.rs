//! Outcomes: what the ledger answers. A rejection is an answer like any other: replicated, numbered, replayed.

use bincode::{Decode, Encode};

use crate::codec::byte_enum;

/// Why a command changed nothing. Numbered in the order of precedence: where several rules are broken, the lowest is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// The id is known with other content. Never recorded under the id.
    IdReused,
    /// The id is further ahead of the entry's time than the tolerance. Never recorded under the id.
    IdInFuture,
    /// The id is found nowhere and is older than the horizon. Never recorded under the id.
    IdExpired,
    /// Not within 1 and 2^53−1.
    AmountInvalid,
    /// Debit and credit are one account.
    SameAccount,
    /// No account of this id.
    AccountNotFound,
    /// The account is there already, with other content.
    AccountExists,
    /// No hold of this id.
    HoldNotFound,
    /// No payment of this id.
    PaymentNotFound,
    /// No transfer of this id.
    TransferNotFound,
    /// This kind of transfer isn't allowed between these kinds of accounts.
    KindNotAllowed,
    /// Only a top-up, cash-out, fee or grant can be reversed.
    ReversalNotAllowed,
    /// The asset isn't both accounts' asset, or the ledger doesn't know it.
    AssetMismatch,
    /// An account that takes part is closed.
    AccountClosed,
    /// The account that pays is frozen.
    AccountFrozen,
    /// The hold was captured or voided, or its time is up.
    HoldNotOpen,
    /// The movement was reversed before.
    AlreadyReversed,
    /// Something is posted, held, or held for the account that is to be closed.
    AccountNotEmpty,
    /// More than the hold has.
    CaptureExceedsHold,
    /// More than what is left of the payment, or nothing is left.
    RefundExceedsPayment,
    /// More than the debit account may pay at once.
    PerTransferLimitExceeded,
    /// More than the debit account may pay in a day.
    DailyLimitExceeded,
    /// The debit account has less available.
    InsufficientFunds,
    /// The credit account would hold more than its limit.
    MaxBalanceExceeded,
    /// A balance would leave ±(2^53−1).
    Overflow,
    /// Another command of its atomic batch was rejected. Never recorded under the id.
    BatchFailed,
    /// The business date is another one. Only nodes meet it.
    DayNotOpen,
    /// No key of this number. Only the admin socket meets it.
    KeyNotFound,
    /// A merchant's key names no merchant's account, or another key names an account. Only the admin socket meets it.
    KeyAccountInvalid,
    /// There are as many keys as there can be. Only the admin socket meets it.
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
    /// Whether the rejection becomes the id's first answer. The three that judge the id itself don't, and nothing in an
    /// atomic batch that failed does.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        !matches!(self, Self::IdReused | Self::IdInFuture | Self::IdExpired | Self::BatchFailed)
    }
}

/// Where and when an outcome was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stamp {
    /// The entry's number in the journal.
    pub position: u64,
    /// The election number of the primary that made the entry.
    pub term: u64,
    /// The entry's time, microseconds since the Unix epoch.
    pub recorded_at: u64,
    /// The entry's link: blake3 over everything up to and including it.
    pub link: [u8; 32],
}

/// The ledger's answer to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Outcome {
    /// Its number among the new outcomes of its entry; [`Self::NO_INDEX`] where it's none.
    pub index: u16,
    /// `None`: committed.
    pub rejection: Option<Rejection>,
    /// What it was about, in the asset's minor unit: what moved, was held, or was released; 0 where nothing was.
    pub amount: u64,
    /// The debit account's posted balance after it; 0 where nothing moved.
    pub debit_after: i64,
    /// The credit account's posted balance after it; 0 where nothing moved.
    pub credit_after: i64,
}

impl Outcome {
    /// The index of what counts as no outcome: every command of an atomic batch that failed, and a release that came too
    /// late or too early. No event tells of it.
    pub const NO_INDEX: u16 = u16::MAX;
}

/// An outcome as a client gets it: new, or the first answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// The ledger's answer.
    pub outcome: Outcome,
    /// For a replay: where the first answer was decided. `None`: in the entry that the reply names.
    pub first: Option<Stamp>,
}
