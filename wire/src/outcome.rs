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
    /// This kind of transfer isn't allowed between these kinds of accounts.
    KindNotAllowed,
    /// The asset isn't both accounts' asset, or the ledger doesn't know it.
    AssetMismatch,
    /// The debit account has less available.
    InsufficientFunds,
    /// The credit account would hold more than its limit.
    MaxBalanceExceeded,
    /// A balance would leave ±(2^53−1).
    Overflow,
}
byte_enum!(Rejection {
    IdReused = 1 "id_reused",
    IdInFuture = 2 "id_in_future",
    IdExpired = 3 "id_expired",
    AmountInvalid = 4 "amount_invalid",
    SameAccount = 5 "same_account",
    AccountNotFound = 6 "account_not_found",
    AccountExists = 7 "account_exists",
    KindNotAllowed = 11 "kind_not_allowed",
    AssetMismatch = 13 "asset_mismatch",
    InsufficientFunds = 23 "insufficient_funds",
    MaxBalanceExceeded = 24 "max_balance_exceeded",
    Overflow = 25 "overflow",
});

impl Rejection {
    /// Whether the rejection becomes the id's first answer. The three that judge the id itself don't.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        !matches!(self, Self::IdReused | Self::IdInFuture | Self::IdExpired)
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
    /// Its number among the new outcomes of its entry.
    pub index: u16,
    /// `None`: committed.
    pub rejection: Option<Rejection>,
    /// The debit account's posted balance after it; 0 where nothing moved.
    pub debit_after: i64,
    /// The credit account's posted balance after it; 0 where nothing moved.
    pub credit_after: i64,
}

/// An outcome as a client gets it: new, or the first answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// The ledger's answer.
    pub outcome: Outcome,
    /// For a replay: where the first answer was decided. `None`: in the entry that the reply names.
    pub first: Option<Stamp>,
}
