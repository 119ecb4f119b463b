//! Accounts: what they can be, and how one is opened.

use bincode::{Decode, Encode};

use crate::{
    amount::{Amount, Asset},
    codec::byte_enum,
    id::{AccountId, CommandId},
    limits::LABEL_BYTES_MAX,
    transfer::Text,
};

/// What an account is, which decides who may pay whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// A person's prepaid money.
    Wallet,
    /// A shop's takings.
    Merchant,
    /// The outside world's money: top-ups come from here, cash-outs go here. May go below zero.
    Bank,
    /// The company's fees.
    Fee,
    /// Where points come from. May go below zero.
    Issuer,
}
byte_enum!(AccountKind {
    Wallet = 1 "wallet",
    Merchant = 2 "merchant",
    Bank = 3 "bank",
    Fee = 4 "fee",
    Issuer = 5 "issuer",
});

/// Opens an account. Its id is the idempotency key: the same again replays, other content is `account_exists`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenAccount {
    /// Chosen by the client; any UUID.
    pub id: AccountId,
    /// What it is.
    pub kind: AccountKind,
    /// The one asset that it holds.
    pub asset: Asset,
    /// For people; at most 64 bytes.
    pub label: Text<LABEL_BYTES_MAX>,
    /// What differs from the limits of its kind.
    pub limits: Limits,
}

/// What an account may hold and pay. A wallet's own `max_balance` is the genesis's unless something else is said here; all
/// others have no limits of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// The most that it may hold, posted; checked whenever it is credited.
    pub max_balance: LimitChange,
    /// The most that one transfer, payment, cash-out, fee or hold may take from it.
    pub per_transfer: LimitChange,
    /// The most that all of those together may take from it in one business day.
    pub daily_debit: LimitChange,
}

/// What is to become of a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum LimitChange {
    /// It stays; at an opening: what its kind of account begins with.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// This much, minor units; above 2^53−1 it's `amount_invalid`. 0 lets nothing pass.
    Set(Amount),
}

/// Changes an account's limits, all or none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetLimits {
    /// The idempotency key.
    pub id: CommandId,
    /// Whose.
    pub account: AccountId,
    /// What changes.
    pub limits: Limits,
}

/// What can be done with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountStatus {
    /// Money goes in and out.
    Open,
    /// Nothing goes out; money may still come in.
    Frozen,
    /// Nothing goes in or out, forever.
    Closed,
}
byte_enum!(AccountStatus {
    Open = 1 "open",
    Frozen = 2 "frozen",
    Closed = 3 "closed",
});

/// Freezes, unfreezes or closes an account. Closing takes an account with nothing posted, held, or held for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetStatus {
    /// The idempotency key.
    pub id: CommandId,
    /// Which account.
    pub account: AccountId,
    /// What it's to be.
    pub status: AccountStatus,
}
