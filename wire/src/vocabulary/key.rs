//! Keys: who may ask for what. Their texts never enter the journal, only their hashes.

use bincode::{Decode, Encode};

use crate::{
    codec::byte_enum,
    id::{AccountId, KeyId},
};

/// What a key may do; the table of roles and routes is in docs/API.md.
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

/// Makes a key known. The ledger gives it the next number; the same hash again replays. No door takes it but the admin
/// socket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateKey {
    /// blake3 of the key's text.
    pub hash: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// Whose it is: a merchant's account, for [`Role::Merchant`] alone.
    pub account: Option<AccountId>,
}

/// Ends a key, forever. Again it's committed too. No door takes it but the admin socket's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeKey {
    /// Which one.
    pub key: KeyId,
}
