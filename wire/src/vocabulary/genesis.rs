//! The first command of every journal: what the ledger's rules need to know, so that all that `apply` reads is in the journal.

use bincode::{Decode, Encode};

use crate::{
    amount::Asset, day::BusinessDate, id::ClusterId, limits::NAME_BYTES_MAX, transfer::Text,
};

/// Founds the ledger. node.toml only seeds it; from then on the journal has the word.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// The cluster that this ledger belongs to.
    pub cluster: ClusterId,
    /// The assets, in the order in which reports list them; at least one, none twice.
    pub assets: Vec<Asset>,
    /// The most that a wallet may hold unless its own limit says otherwise, minor units of its asset.
    pub wallet_max_balance: u64,
    /// How old a command's id may be when it's first seen, milliseconds.
    pub id_horizon_ms: u64,
    /// How far ahead of the primary's time a command's id may be, milliseconds.
    pub id_tolerance_ms: u64,
    /// The IANA name of the time zone whose midnight ends the business day.
    pub time_zone: Text<NAME_BYTES_MAX>,
    /// blake3 of the operator key's text.
    pub operator_key: [u8; 32],
    /// The business date that the ledger begins with. The primary that founds it puts in what its own calendar says.
    pub first_date: BusinessDate,
}
