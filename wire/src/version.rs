//! Protocol versions, with one line of history for each, and the ALPN names that carry them.

/// The version byte of every frame.
///
/// - 1: the first.
pub const FRAME_VERSION: u8 = 1;

/// The rules by which the ledger judges the commands of an entry; replay uses those that the entry names.
///
/// - 1: accounts, the six kinds of transfer, the wallet's balance limit; holds, refunds, reversals, limits, states of
///   accounts, business days, keys.
pub const RULES_VERSION: u16 = 1;

/// ALPN of the port where sites talk to each other.
pub const ALPN_PEER: &[u8] = b"evenkeel-peer/1";

/// ALPN of the port where clients talk to a site.
pub const ALPN_CLIENT: &[u8] = b"evenkeel-client/1";
