//! Keys: the credentials of clients, each with a role. The journal holds only the hashes of their
//! texts, never the texts.

use bincode::{Decode, Encode};

use crate::{
    codec::byte_enum,
    id::{AccountId, KeyId},
};

/// The role of a key; docs/API.md has the table of roles and routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything.
    Operator,
    /// Accounts, top-ups, cash-outs, freezes and limits.
    Teller,
    /// Wallets' transfers, payments, holds, and reads.
    App,
    /// Its own account: capture, void, refund, history.
    Merchant,
    /// Reads.
    Auditor,
}
byte_enum!(Role {
    Operator = 1 "operator",
    Teller = 2 "teller",
    App = 3 "app",
    Merchant = 4 "merchant",
    Auditor = 5 "auditor",
});

/// Creates a key. The ledger assigns the next number; the same hash again replays. Only the admin
/// socket accepts it; clients' doors reject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateKey {
    /// blake3 of the key's text.
    pub hash: [u8; 32],
    /// The key's role.
    pub role: Role,
    /// The merchant's account, for [`Role::Merchant`] only.
    pub account: Option<AccountId>,
}

/// Revokes a key permanently. Repeating it is committed too. Only the admin socket accepts it;
/// clients' doors reject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeKey {
    /// The key's number.
    pub key: KeyId,
}
