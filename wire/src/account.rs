//! Accounts: what they can be, and how one is opened.

use bincode::{Decode, Encode};

use crate::{
    amount::Asset, codec::byte_enum, id::AccountId, limits::LABEL_BYTES_MAX, transfer::Text,
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
}
