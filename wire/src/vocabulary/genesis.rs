//! The first command of every journal: the settings of the ledger's rules, so that everything
//! `apply` reads is in the journal.

use bincode::{Decode, Encode};

use crate::{
    amount::Asset, day::BusinessDate, id::ClusterId, limits::NAME_BYTES_MAX, transfer::Text,
};

/// Bootstraps the ledger. node.toml only supplies the first values; from then on the journal is
/// authoritative.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Genesis {
    /// The ledger's cluster.
    pub cluster: ClusterId,
    /// The assets, in the order of reports: at least one, without duplicates.
    pub assets: Vec<Asset>,
    /// The largest posted balance of a wallet without its own limit, in minor units of its asset.
    pub wallet_max_balance: u64,
    /// The largest age of a command's id when it is first applied, milliseconds.
    pub id_horizon_ms: u64,
    /// How far a command's id may be ahead of the primary's time, milliseconds.
    pub id_tolerance_ms: u64,
    /// The IANA name of the time zone whose midnight ends the business day.
    pub time_zone: Text<NAME_BYTES_MAX>,
    /// blake3 of the operator key's text.
    pub operator_key: [u8; 32],
    /// The first business date of the ledger, taken from the calendar of the primary that
    /// bootstraps it.
    pub first_date: BusinessDate,
}
