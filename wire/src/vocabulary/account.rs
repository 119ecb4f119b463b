//! Accounts: kinds, statuses, limits, and the commands that open and change them.

use bincode::{Decode, Encode};

use crate::{
    amount::{Amount, Asset},
    codec::byte_enum,
    id::{AccountId, CommandId},
    limits::LABEL_BYTES_MAX,
    transfer::Text,
};

/// The kind of an account, which determines the allowed kinds of transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// A person's prepaid money.
    Wallet,
    /// A merchant's revenue.
    Merchant,
    /// Money outside the system: top-ups come from here, cash-outs go here. May go below zero.
    Bank,
    /// The company's fees.
    Fee,
    /// The source of points. May go below zero.
    Issuer,
}
byte_enum!(AccountKind {
    Wallet = 1 "wallet",
    Merchant = 2 "merchant",
    Bank = 3 "bank",
    Fee = 4 "fee",
    Issuer = 5 "issuer",
});

/// Opens an account. Its id is the idempotency key: the same command again replays; the id with
/// other content is rejected with `account_exists`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenAccount {
    /// The account's id, chosen by the client; any UUID.
    pub id: AccountId,
    /// The kind of account.
    pub kind: AccountKind,
    /// The account's only asset.
    pub asset: Asset,
    /// A text for people, at most 64 bytes.
    pub label: Text<LABEL_BYTES_MAX>,
    /// Changes to the limits of its kind.
    pub limits: Limits,
}

/// Changes of an account's limits. Without a change a wallet's `max_balance` is the one in genesis,
/// and all other limits are unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// The largest posted balance, checked at every credit.
    pub max_balance: LimitChange,
    /// The largest amount of one transfer, payment, cash-out, fee or hold debited from it.
    pub per_transfer: LimitChange,
    /// The largest sum of all of those in one business day.
    pub daily_debit: LimitChange,
}

/// A change of one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum LimitChange {
    /// Unchanged; when an account is opened, the default of its kind.
    #[default]
    Keep,
    /// The limit is removed.
    Clear,
    /// The new limit, in minor units; above 2^53−1 it is rejected with `amount_invalid`. 0 allows
    /// nothing.
    Set(Amount),
}

/// Changes an account's limits, all or none of them. Affects later commands only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetLimits {
    /// The idempotency key.
    pub id: CommandId,
    /// The account's id.
    pub account: AccountId,
    /// The changes.
    pub limits: Limits,
}

/// The status of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountStatus {
    /// It can be debited and credited.
    Open,
    /// It can be credited only.
    Frozen,
    /// It can't be debited or credited, permanently.
    Closed,
}
byte_enum!(AccountStatus {
    Open = 1 "open",
    Frozen = 2 "frozen",
    Closed = 3 "closed",
});

/// Freezes, unfreezes or closes an account. Closing requires that nothing is posted, held, or held
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetStatus {
    /// The idempotency key.
    pub id: CommandId,
    /// The account's id.
    pub account: AccountId,
    /// The new status.
    pub status: AccountStatus,
}
