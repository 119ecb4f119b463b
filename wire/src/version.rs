//! Protocol versions, each with its history, and the ALPN names that carry them.

/// The version byte of every frame.
///
/// - 1: the first version.
pub const FRAME_VERSION: u8 = 1;

/// The version of the ledger's rules, stored in every entry; replay uses the version that the entry
/// names.
///
/// - 1: accounts, the six kinds of transfer, the wallet's balance limit; holds, refunds, reversals,
///   limits, account statuses, business days, keys.
pub const RULES_VERSION: u16 = 1;

/// ALPN of the port between sites.
///
/// - 1: the first version.
/// - 2: the lane on which sites compare their settings; introductions on control and append lanes,
///   what members had; an admittance carries the founders; readings of clocks.
pub const ALPN_PEER: &[u8] = b"evenkeel-peer/2";

/// ALPN of the port for clients.
pub const ALPN_CLIENT: &[u8] = b"evenkeel-client/1";
